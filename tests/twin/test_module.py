"""The twin as a module: parameters, taps, memory, refusals, and whole models."""

from __future__ import annotations

import copy
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import numpy_helper, parser

from wrg_onnx.errors import DataError, UnsupportedOperatorError, UsageError
from wrg_onnx.graph.load import from_proto, load
from wrg_onnx.twin import build_twin, registered, twin_op

MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"

NET = """
<ir_version: 8, opset_import: ["" : 13]>
net (float[N, 1, 4, 4] image) => (float[N, M] logits)
<
  float[2, 1, 1, 1] "stem.weight" = {0.5, -2.0},
  float[2] "stem.bias" = {0.1, 0.2},
  float[2] "bn.scale" = {1.0, 2.0},
  float[2] "bn.bias" = {0.0, 0.5},
  float[2] "bn.mean" = {0.3, 0.4},
  float[2] "bn.var" = {1.0, 2.0},
  float six = {6.0},
  int64[2] shape = {0, -1}
>
{
  conv = Conv (image, "stem.weight", "stem.bias")
  norm = BatchNormalization (conv, "bn.scale", "bn.bias", "bn.mean", "bn.var")
  act = Relu (norm)
  scaled = Div (act, six)
  logits = Reshape (scaled, shape)
}
"""


def graph_of(text, name="m"):
    return from_proto(parser.parse_model(text), name=name)


@pytest.fixture
def image():
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_weights_are_parameters_under_their_onnx_names():
    parameters = build_twin(graph_of(NET)).parameters_by_name()
    assert sorted(parameters) == ["bn.bias", "bn.scale", "stem.bias", "stem.weight"]
    assert all(parameter.requires_grad for parameter in parameters.values())
    np.testing.assert_array_equal(parameters["bn.scale"].detach(), [1.0, 2.0])


def test_running_statistics_and_numbers_of_formulas_are_buffers():
    twin = build_twin(graph_of(NET))
    assert sorted(tuple(buffer.shape) for buffer in twin.buffers()) == [(), (2,), (2,)]


def test_parameters_of_a_twin_that_does_not_train_require_no_gradient():
    twin = build_twin(graph_of(NET), trainable=False)
    assert len(twin.parameters_by_name()) == 4
    assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_training_a_parameter_leaves_the_graph_as_it_was(image):
    graph = graph_of(NET)
    twin = build_twin(graph)
    loss = twin({"image": image})["logits"].square().sum()
    loss.backward()
    torch.optim.SGD(twin.parameters(), lr=0.1).step()
    np.testing.assert_array_equal(graph.constants["stem.bias"], np.float32([0.1, 0.2]))
    assert twin({"image": image})["logits"].square().sum() < loss


def test_a_tap_is_the_tensor_that_the_rest_of_the_graph_reads(image):
    twin = build_twin(graph_of(NET))
    results = twin({"image": image}, taps=["act", "conv"])
    assert list(results) == ["logits", "act", "conv"]
    gradient = torch.autograd.grad(results["logits"].sum(), results["act"])[0]
    torch.testing.assert_close(gradient, torch.full_like(results["act"], 1 / 6))


def test_a_tap_has_a_gradient_where_nothing_trains(image):
    twin = build_twin(graph_of(NET), trainable=False)
    results = twin({"image": image}, taps=["norm", "act", "image"])
    gradients = torch.autograd.grad(
        results["logits"].sum(), [results[name] for name in ("norm", "act", "image")]
    )
    torch.testing.assert_close(gradients[0], (results["norm"] > 0) / 6)
    assert not image.requires_grad


def test_taps_need_no_gradients_when_gradients_are_off(image):
    with torch.no_grad():
        results = build_twin(graph_of(NET))({"image": image}, taps=["act"])
    assert not results["act"].requires_grad


def test_a_tap_that_the_model_lacks_is_named(image):
    with pytest.raises(UsageError, match="no tensor 'nothing' in the model"):
        build_twin(graph_of(NET))({"image": image}, taps=["nothing"])


def test_an_input_that_is_not_fed_is_named():
    with pytest.raises(DataError, match="input 'image'"):
        build_twin(graph_of(NET))({})


def test_the_twin_computes_in_the_type_it_is_moved_to(image):
    twin = build_twin(graph_of(NET)).to(torch.float64)
    assert twin({"image": image.double()})["logits"].dtype == torch.float64


def test_operator_without_twin_is_refused_when_the_twin_is_built():
    text = """
    <ir_version: 8, opset_import: ["" : 13, "com.acme" : 2]>
    g (float[2] x) => (float[2] y) { h = Relu (x)  y = com.acme.Magic (h) }
    """
    model = parser.parse_model(text)
    model.graph.node[1].name = "/a/b"
    with pytest.raises(UnsupportedOperatorError) as refusal:
        build_twin(from_proto(model, name="m"))
    assert str(refusal.value) == (
        "no differentiable twin for 'com.acme.Magic' (opset 2) at node '/a/b': "
        "use a criterion without gradient, such as --criterion wr"
    )
    assert (refusal.value.op, refusal.value.node) == ("com.acme.Magic", "/a/b")


def test_registering_an_operator_twice_for_a_version_is_an_error():
    register = twin_op("Once", since=3, domain="test.wrg")
    register(lambda _node, x: x)
    with pytest.raises(ValueError, match=r"'test\.wrg:Once' is registered twice for version 3"):
        register(lambda _node, x: x)


def test_the_greatest_version_up_to_the_models_is_chosen():
    for since in (1, 3):
        twin_op("Since", since=since, domain="test.wrg")(lambda _node, x, since=since: x + since)
    for opset, added in ((1, 1.0), (2, 1.0), (3, 3.0), (9, 3.0)):
        graph = graph_of(
            f'<ir_version: 8, opset_import: ["" : 13, "test.wrg" : {opset}]>'
            "g (float[1] x) => (float[1] y) { y = test.wrg.Since (x) }"
        )
        assert build_twin(graph)({"x": torch.zeros(1)})["y"].item() == added


@pytest.mark.parametrize(("taps", "alive"), [((), 1), (("a",), 2)])
def test_a_tensor_is_freed_after_its_last_use_unless_it_is_tapped(taps, alive):
    seen = []
    counts = []

    def spy(_node, x):
        seen.append(weakref.ref(x))
        counts.append(sum(reference() is not None for reference in seen))
        return x + 1

    table_name = f"Spy{len(taps)}"
    twin_op(table_name, since=1, domain="test.wrg")(spy)
    spies = "".join(
        f"{after} = test.wrg.{table_name} ({before})\n"
        for before, after in (("a", "b"), ("b", "c"), ("c", "y"))
    )
    graph = graph_of(
        '<ir_version: 8, opset_import: ["" : 13, "test.wrg" : 1]>\n'
        f"g (float[1] x) => (float[1] y) {{ a = Neg (x)\n{spies} }}"
    )
    twin = build_twin(graph)
    with torch.no_grad():
        twin({"x": torch.zeros(1)}, taps)
    assert counts[-1] == alive


SHAPE_ARITHMETIC = """
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[n, c, h, w] x) => (float[n, c, p, q] y)
    <int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}, float factor = {1.5}>
    {
      all = Shape (x)
      lead = Slice (all, zero, two)
      tail = Slice (all, two, four)
      real = Cast <to = 1> (tail)
      grown = Mul (real, factor)
      whole = Cast <to = 7> (grown)
      sizes = Concat <axis = 0> (lead, whole)
      y = Resize <mode = "linear"> (x, , , sizes)
    }
"""


def test_shape_arithmetic_follows_the_fed_sizes():
    twin = build_twin(graph_of(SHAPE_ARITHMETIC))
    assert twin({"x": torch.ones(2, 3, 4, 6)})["y"].shape == (2, 3, 6, 9)
    assert twin({"x": torch.ones(1, 2, 2, 8)})["y"].shape == (1, 2, 3, 12)


@pytest.mark.parametrize(
    ("text", "feed", "shape"),
    [(NET, (3, 1, 4, 4), (3, 32)), (SHAPE_ARITHMETIC, (2, 3, 4, 6), (2, 3, 6, 9))],
)
def test_shapes_are_known_without_reading_the_device(text, feed, shape):
    # A meta tensor holds no values: whatever reads one back to the CPU fails.
    twin = build_twin(graph_of(text)).to("meta")
    results = twin({name: torch.empty(feed, device="meta") for name in twin.input_names})
    assert [tuple(result.shape) for result in results.values()] == [shape]


def test_a_constant_that_is_a_bound_and_an_operand_is_on_both_sides():
    graph = graph_of("""
    <ir_version: 8, opset_import: ["" : 13]>
    g (float[4] x) => (float[4] y) <float six = {6.0}>
    { a = Clip (x, , six)  y = Div (a, six) }
    """)
    twin = build_twin(graph)
    assert twin({"x": torch.tensor([3.0, 12.0])})["y"].tolist() == [0.5, 1.0]
    meta = torch.empty(2, device="meta")
    assert twin.to("meta")({"x": meta})["y"].device == meta.device


def test_the_table_covers_the_operators_of_convolutional_nets():
    operators = {op for domain, op, _ in registered() if domain == ""}
    assert {"Conv", "ConvTranspose", "Resize", "Upsample", "Gemm", "GridSample"} <= operators
    assert len(operators) > 130


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_the_twin_computes_on_a_gpu_what_it_computes_on_the_cpu(image):
    twin = build_twin(graph_of(NET))
    expected = twin({"image": image})["logits"]
    actual = twin.to("cuda")({"image": image.cuda()})["logits"]
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "largest"),
    [
        # The second number is the largest pixel value that the model is made for.
        ("csnet_L_x2_224.onnx", 1),
        ("rdian_256.onnx", 1),
        ("yolox_nano.onnx", 255),
        ("PP_OCR_v2_det.onnx", 1),
        ("deeplab_v3_mnv2_dm05_tf.onnx", 1),
        ("agllnet_256x256.onnx", 1),
        ("ultraface_RFB_320.onnx", 1),
        ("super_resolution_subpixel.onnx", 1),
        ("picodet_s_320_coco_sim.onnx", 1),
    ],
)
def test_a_models_twin_computes_what_onnx_runtime_computes(file, largest):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = MODELS / file
    if not path.exists():
        pytest.skip(f"the model collection is not here: {path}")
    graph = load(path)
    rng = np.random.default_rng(0)
    feeds = {
        value.name: largest
        * rng.random([dim if isinstance(dim, int) else 2 for dim in value.shape], np.float32)
        for value in graph.inputs
    }
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    expected = dict(zip(names, session.run(names, feeds), strict=True))
    with torch.no_grad():
        actual = build_twin(graph)({name: torch.from_numpy(x) for name, x in feeds.items()})
    for name in names:
        # ONNX Runtime's own Sigmoid is off by 1e-7 where it is nearly zero.
        limit = 1e-4 * np.abs(expected[name]).max() + 2e-7
        np.testing.assert_allclose(actual[name].numpy(), expected[name], rtol=0, atol=limit)


def test_a_copy_of_a_twin_has_weights_of_its_own(image):
    twin = build_twin(graph_of(NET))
    teacher = copy.deepcopy(twin)
    expected = twin({"image": image})["logits"]
    with torch.no_grad():
        twin.parameters_by_name()["stem.bias"].add_(1.0)
    torch.testing.assert_close(teacher({"image": image})["logits"], expected)
    assert not torch.allclose(twin({"image": image})["logits"], expected)


def test_a_mask_of_infinities_is_no_parameter():
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2, 2] x) => (float[2, 2] y) '
        "<float[2] w = {1.0, 2.0}> { a = Mul (x, w)  b = Add (a, mask)  y = Softmax (b) }"
    )
    mask = np.float32([[0, -np.inf], [0, 0]])
    model.graph.initializer.append(numpy_helper.from_array(mask, "mask"))
    twin = build_twin(from_proto(model, name="m"))
    assert list(twin.parameters_by_name()) == ["w"]
    assert twin({"x": torch.ones(2, 2)})["y"][0].tolist() == [1.0, 0.0]
