"""Recurrent layers of the twin against ONNX Runtime, and their gradients."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from wrg_onnx.graph import open_session
from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import build_twin

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
ACTIVATIONS = (
    "Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh",
    "HardSigmoid", "Elu", "Softsign", "Softplus",
)  # fmt: skip
STEPS, BATCH, SIZE, HIDDEN = 5, 3, 4, 2


def recurrent(op, *, absent=(), opset=14, **attributes):
    """Return a graph of one layer and its feeds; ``absent`` names operands that it lacks."""
    rng = np.random.default_rng(0)
    both = attributes.get("direction") == "bidirectional"
    count, width = 2 if both else 1, GATES[op] * HIDDEN
    batch_first = attributes.get("layout", 0) == 1
    state = (BATCH, count, HIDDEN) if batch_first else (count, BATCH, HIDDEN)
    shapes = {
        "x": (BATCH, STEPS, SIZE) if batch_first else (STEPS, BATCH, SIZE),
        "w": (count, width, SIZE),
        "r": (count, width, HIDDEN),
        "b": (count, 2 * width),
        "lengths": (BATCH,),
        "h": state,
    }
    if op == "LSTM":
        shapes |= {"c": state, "p": (count, 3 * HIDDEN)}
    values = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    values["lengths"] = np.array([5, 2, 4], np.int32)
    names = ["" if name in absent else name for name in shapes]
    outputs = ["y", "y_h", "y_c"][: 3 if op == "LSTM" else 2]
    node = helper.make_node(op, names, outputs, hidden_size=HIDDEN, **attributes)
    fed = [name for name in ("x", "lengths", "h", "c") if name in names]
    info = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(values[name].dtype), values[name].shape
        )
        for name in fed
    ]
    made = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
        for name, rank in zip(outputs, (4, 3, 3), strict=False)
    ]
    constants = [
        numpy_helper.from_array(values[name], name) for name in names if name not in ("", *fed)
    ]
    graph = helper.make_graph([node], "g", info, made, constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=min(opset, 8)
    )
    onnx.checker.check_model(model)
    return from_proto(model, name="m"), {name: values[name] for name in fed}


def assert_equal_to_onnx_runtime(graph, feeds):
    theirs = open_session(graph, exact=True).run(feeds)
    with torch.no_grad():
        mine = build_twin(graph)({name: torch.tensor(array) for name, array in feeds.items()})
    for name, value in mine.items():
        np.testing.assert_allclose(value.numpy(), theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    "absent", [(), ("lengths", "p"), ("lengths", "p", "b", "h", "c"), ("p",), ("lengths",)]
)
@pytest.mark.parametrize("op", GATES)
def test_each_direction_computes_what_onnx_runtime_computes(op, absent, direction):
    assert_equal_to_onnx_runtime(*recurrent(op, absent=absent, direction=direction))


@pytest.mark.parametrize("absent", [(), ("lengths", "p")])
@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("LSTM", {"clip": 0.3}),
        ("LSTM", {"input_forget": 1}),
        ("GRU", {"clip": 0.3}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"linear_before_reset": 1, "direction": "reverse"}),
        ("GRU", {"linear_before_reset": 1, "direction": "bidirectional"}),
        ("RNN", {"clip": 0.3}),
        ("LSTM", {"activations": ["HardSigmoid", "ScaledTanh", "Relu"] * 2,
                  "direction": "bidirectional", "activation_alpha": [0.3, 0.7, 0.1, 0.6],
                  "activation_beta": [0.4, 1.2, 0.5, 0.9]}),
    ],
)  # fmt: skip
def test_each_form_computes_what_onnx_runtime_computes(op, attributes, absent):
    assert_equal_to_onnx_runtime(*recurrent(op, absent=absent, **attributes))


@pytest.mark.parametrize("opset", [7, 21, 22])
@pytest.mark.parametrize("op", GATES)
def test_every_opset_means_the_same(op, opset):
    assert_equal_to_onnx_runtime(*recurrent(op, opset=opset))


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        case
        for case in product(
            ACTIVATIONS, [{}, {"activation_alpha": [0.6], "activation_beta": [0.4]}]
        )
        # Without numbers ONNX Runtime multiplies by 0; ONNX has 1 for the operators of these names.
        if case not in [("Affine", {}), ("ScaledTanh", {})]
    ],
)
def test_each_activation_computes_what_onnx_runtime_computes(name, numbers):
    assert_equal_to_onnx_runtime(*recurrent("RNN", activations=[name], **numbers))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("absent", [(), ("lengths", "p")])
@pytest.mark.parametrize("op", GATES)
def test_the_batch_may_come_first(op, absent, direction):
    """ONNX Runtime has no layout 1, so this compares with layout 0."""
    (first, feeds), (plain, others) = (
        recurrent(op, absent=absent, direction=direction, layout=layout) for layout in (1, 0)
    )
    feeds = {name: torch.tensor(array) for name, array in feeds.items()}
    moved = {
        name: value if value.dim() == 1 else value.transpose(0, 1) for name, value in feeds.items()
    }
    assert {name: tuple(value.shape) for name, value in moved.items()} == {
        name: array.shape for name, array in others.items()
    }
    actual, expected = build_twin(first)(feeds), build_twin(plain)(moved)
    torch.testing.assert_close(actual["y"], expected["y"].permute(2, 0, 1, 3))
    torch.testing.assert_close(actual["y_h"], expected["y_h"].transpose(0, 1))


@pytest.mark.parametrize(
    ("op", "absent"), [*product(GATES, [(), ("lengths", "p")]), ("GRU", ("lengths", "after"))]
)
def test_recurrent_layers_have_the_gradients_of_their_functions(op, absent):
    attributes = {"linear_before_reset": 1} if "after" in absent else {}
    graph, feeds = recurrent(op, absent=absent, direction="bidirectional", **attributes)
    twin = build_twin(graph).double()
    names = [name for name in feeds if name != "lengths"]
    keys = [name for name, _ in twin.named_parameters()]
    lengths = {"lengths": torch.tensor(feeds["lengths"])} if "lengths" in feeds else {}

    def run(*leaves):
        own = dict(zip(keys, leaves, strict=False))
        fed = dict(zip(names, leaves[len(keys) :], strict=True))
        return tuple(torch.func.functional_call(twin, own, ({**fed, **lengths},)).values())

    leaves = [parameter.detach().clone() for parameter in twin.parameters()]
    leaves += [torch.tensor(feeds[name]).double() for name in names]
    assert torch.autograd.gradcheck(run, tuple(leaf.requires_grad_() for leaf in leaves))
