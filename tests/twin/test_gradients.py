"""The twin's gradients against finite differences, in float64, one family after the other."""

from __future__ import annotations

import pytest
import torch

from wrg_onnx.graph.model import Node
from wrg_onnx.twin import lookup


def shaped(*shape, seed=0, low=-1.0, high=1.0):
    """Return distinct float64 values in no order: ties have no gradient."""
    count = torch.Size(shape).numel()
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed + count))
    values = torch.linspace(low, high, count + 1, dtype=torch.float64)[:-1] + 0.37 / count
    return values[order].reshape(shape).requires_grad_()


def integers(*values):
    return torch.tensor(values)


def check(op, version, inputs, **attributes):
    names = tuple("" if value is None else f"x{i}" for i, value in enumerate(inputs))
    node = Node(0, "node", op, "", version, names, ("y",), attributes)
    entry = lookup("", op, version)
    assert entry is not None

    def run(*values):
        result = entry.function(node, *values)
        return result if isinstance(result, torch.Tensor) else result[0]

    assert run(*inputs).dtype == torch.float64
    assert torch.autograd.gradcheck(run, tuple(inputs))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": (1, 1, 1, 1), "strides": (2, 2)},
        {"pads": (0, 1, 2, 0), "dilations": (1, 2)},
        {"auto_pad": "SAME_LOWER", "strides": (2, 1)},
    ],
)
@pytest.mark.parametrize("group", [1, 2])
def test_convolution_has_the_gradients_of_its_function(attributes, group):
    inputs = (shaped(1, 2, 4, 5), shaped(4, 2 // group, 2, 3), shaped(4))
    check("Conv", 11, inputs, group=group, **attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": (2, 2), "pads": (1, 1, 1, 1), "output_padding": (1, 1)},
        {"strides": (2, 1), "pads": (0, 1, 1, 0)},
        {"strides": (2, 2), "output_shape": (6, 7)},
    ],
)
def test_transposed_convolution_has_the_gradients_of_its_function(attributes):
    check("ConvTranspose", 11, (shaped(1, 2, 3, 3), shaped(2, 2, 3, 3), shaped(2)), **attributes)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": (2, 2), "pads": (1, 1, 1, 1)},
        {"strides": (2, 2), "ceil_mode": 1},
        {"auto_pad": "SAME_UPPER", "strides": (2, 1)},
        {"dilations": (2, 1), "pads": (0, 1, 1, 0)},
    ],
)
def test_pooling_has_the_gradients_of_its_function(op, attributes):
    check(op, 19, (shaped(1, 2, 4, 5, low=0.1),), kernel_shape=(2, 2), **attributes)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_pooling_has_the_gradients_of_its_function(op):
    check(op, 11, (shaped(2, 3, 2, 2),))


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Relu", {}),
        ("LeakyRelu", {}),
        ("Elu", {"alpha": 0.5}),
        ("Selu", {}),
        ("Celu", {"alpha": 0.5}),
        ("Gelu", {}),
        ("Gelu", {"approximate": "tanh"}),
        ("Swish", {"alpha": 2.0}),
        ("Mish", {}),
        ("HardSwish", {}),
        ("HardSigmoid", {}),
        ("ThresholdedRelu", {"alpha": 0.3}),
        ("Shrink", {"lambd": 0.3, "bias": 0.1}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("Softmax", {"axis": 1}),
        ("LogSoftmax", {"axis": 1}),
        ("Erf", {}),
        ("Exp", {}),
        ("Abs", {}),
        ("Neg", {}),
        ("Sin", {}),
        ("Cos", {}),
        ("MeanVarianceNormalization", {"axes": (0, 2)}),
        ("LpNormalization", {"axis": 1}),
        ("LRN", {"size": 3}),
        ("Identity", {}),
    ],
)
def test_activations_have_the_gradients_of_their_functions(op, attributes):
    check(op, 24, (shaped(2, 3, 4),), **attributes)


@pytest.mark.parametrize("version", [7, 13])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_has_a_gradient_in_either_meaning(op, version):
    check(op, version, (shaped(2, 3, 2),), axis=1)


@pytest.mark.parametrize("slope", [(1,), (3, 1), (2, 3, 4)])
def test_prelu_learns_its_slope(slope):
    check("PRelu", 16, (shaped(2, 3, 4), shaped(*slope, low=0.1)))


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers_have_their_gradients(op):
    check(op, 13, (shaped(2, 3, low=0.5),))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"])
def test_arithmetic_has_gradients_through_broadcasting(op):
    check(op, 13, (shaped(2, 3, low=0.5), shaped(4, 1, 3, low=2.1, high=3.0)))


def test_where_sends_the_gradient_to_the_operand_it_chose():
    chosen = torch.tensor([[True], [False]])
    check("Where", 16, (chosen, shaped(2, 3), shaped(1, 3)))


@pytest.mark.parametrize("exponent", [torch.tensor(2.0), torch.tensor([0.5, 3.0])])
def test_power_has_the_gradient_of_its_base(exponent):
    check("Pow", 15, (shaped(3, 2, low=0.5), exponent))


def test_clip_passes_the_gradient_inside_its_bounds():
    check("Clip", 13, (shaped(3, 4), torch.tensor(-0.5), torch.tensor(0.4)))
    check("Clip", 6, (shaped(3, 4),), min=-0.5, max=0.4)


def test_matrix_products_have_the_gradients_of_their_operands():
    check("MatMul", 13, (shaped(2, 3, 4), shaped(4, 2)))
    check("Einsum", 12, (shaped(2, 3), shaped(3, 4)), equation="ij, jk -> ik")
    check("Gemm", 13, (shaped(2, 3), shaped(4, 3), shaped(4)), transB=1)
    check("Gemm", 13, (shaped(3, 2), shaped(3, 4), shaped(1, 4)), transA=1, alpha=0.5, beta=2.0)


def test_normalisation_has_the_gradients_of_its_operands():
    x, scale, bias = shaped(2, 4, 3), shaped(4, seed=1), shaped(4, seed=2)
    running = (shaped(4, seed=3).detach(), shaped(4, low=0.5).detach())
    check("BatchNormalization", 15, (x, scale, bias, *running))
    check("InstanceNormalization", 6, (x, scale, bias))
    check("GroupNormalization", 21, (x, scale, bias), num_groups=2)
    check("GroupNormalization", 18, (x, shaped(2), shaped(2, seed=1)), num_groups=2)
    check("LayerNormalization", 17, (x, shaped(4, 3), shaped(4, 3, seed=1)), axis=1)
    check("LayerNormalization", 17, (x, shaped(3), None))
    check("RMSNormalization", 23, (x, shaped(3)))


@pytest.mark.parametrize(
    "op",
    ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"],
)
def test_reductions_have_the_gradients_of_their_functions(op):
    check(f"Reduce{op}", 18, (shaped(2, 3, 4, low=0.5), integers(0, -1)), keepdims=0)


@pytest.mark.parametrize(
    ("op", "operands", "attributes"),
    [
        ("Reshape", (integers(0, -1),), {}),
        ("Flatten", (), {}),
        ("Transpose", (), {"perm": (2, 0, 1)}),
        ("Unsqueeze", (integers(0, -1),), {}),
        ("Expand", (integers(2, 1, 1, 1),), {}),
        ("Tile", (integers(1, 2, 2),), {}),
        ("Split", (integers(1, 2),), {"axis": 1}),
        ("Slice", (integers(-1), integers(-9), integers(2), integers(-2)), {}),
        ("Gather", (integers(2, -3, 2),), {"axis": 1}),
        ("GatherElements", (torch.tensor([[[0, -1, 1, 1]], [[2, 0, 0, 1]]]),), {"axis": 1}),
        ("GatherND", (torch.tensor([[0, 2], [-1, 0]]),), {}),
        ("Pad", (integers(0, 1, -1, 0, 0, 2), torch.tensor(0.5)), {}),
        ("Pad", (integers(0, 1, 2, 0, 1, 1),), {"mode": "reflect"}),
        ("Pad", (integers(0, 1, 2, 0, 1, 1),), {"mode": "edge"}),
        ("Pad", (integers(0, 1, 2, 0, 1, 1),), {"mode": "wrap"}),
        ("CumSum", (integers(1),), {"exclusive": 1, "reverse": 1}),
        ("TopK", (integers(2),), {"axis": 1}),
        ("Trilu", (integers(1),), {}),
        ("Dropout", (), {}),
    ],
)
def test_moving_elements_moves_their_gradients(op, operands, attributes):
    check(op, 23, (shaped(2, 3, 4), *operands), **attributes)


def test_concat_splits_the_gradient():
    check("Concat", 13, (shaped(2, 3), shaped(2, 1)), axis=-1)


def test_blocks_move_with_their_gradients():
    for mode in ("DCR", "CRD"):
        check("DepthToSpace", 13, (shaped(1, 4, 2, 2),), blocksize=2, mode=mode)
    check("SpaceToDepth", 13, (shaped(1, 1, 4, 2),), blocksize=2)


@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_scatter_has_the_gradients_of_data_and_updates(reduction):
    check(
        "ScatterND",
        18,
        (shaped(3, 2), torch.tensor([[2], [0]]), shaped(2, 2, low=-2.0, high=2.1)),
        reduction=reduction,
    )


@pytest.mark.parametrize("transform", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("sizes", [(1, 1, 6, 8), (1, 1, 5, 2)])
def test_resize_has_the_gradient_of_its_function(mode, transform, sizes):
    check(
        "Resize",
        19,
        (shaped(1, 1, 3, 4), None, None, integers(*sizes)),
        mode=mode,
        coordinate_transformation_mode=transform,
    )
