"""The twin in half precision: moved there as a whole, or under torch's autocast."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import parser
from operator_cases import network
from twin_cases import families, operator_cases

from wrg_onnx.errors import UnsupportedOperatorError
from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import BatchNorm, build_twin

HALVES = (torch.float16, torch.bfloat16)

ROUNDINGS = 32
"""At most so many roundings follow each other in these networks, each off by half an epsilon."""

EXCLUDED = {
    "pointwise/Ceil-17": "a number next to a step goes to the other side of it",
    "pointwise/Round-17": "a number next to a step goes to the other side of it",
    "random/RandomNormalLike-stays": "it draws other numbers in every run",
    "random/Bernoulli-stays": "it draws other numbers in every run",
    "linear/Det": "torch has no determinant in half precision on a CPU",
}


# Further forms of operators whose first case is another one.
FURTHER = {
    "Expand-of-a-kept-axis", "Gather-of-groups-by-a-square-of-indices",
    "Gather-square-of-indices", "LayerNormalization-stays-at-any-opset",
    "Reshape-of-two-widths-to-one-shape", "Resize-by-nearly-1-stays",
    "Resize-of-two-widths-to-one-shape", "Slice-flips-from-the-last-position", "SpaceToDepth-CRD",
    "attention-loses-heads",
}  # fmt: skip


def representative():
    """Return the first case of each operator, and the further ones; quantised ones round on."""
    found = {}
    for stem in families():
        if stem != "test_quantised":
            for name, case in operator_cases(stem).items():
                operator = name if name in FURTHER else name.partition("-")[0]
                found.setdefault((stem, operator), (f"{stem[5:]}/{name}", case))
    return dict(found.values())


CASES = representative()


def run(name, dtype, device="cpu", *, autocast=False):
    """Return the outputs in float32 on the CPU and in another way, in float64."""
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    graph = from_proto(network(CASES[name]), name=name)
    image = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 6, 6), np.float32))
    try:
        twin = build_twin(graph)
    except UnsupportedOperatorError as error:
        pytest.skip(f"test_operators.py says why: {error}")
    with torch.no_grad():
        expected = twin({"x": image})
        twin = twin.to(device)
        if autocast:
            with torch.autocast(device, dtype=dtype):
                actual = twin({"x": image.to(device)})
        else:
            actual = twin.to(dtype)({"x": image.to(device, dtype)})
            assert {value.dtype for value in actual.values()} == {dtype}
    return {key: (value.cpu().double(), expected[key].double()) for key, value in actual.items()}


def assert_close(pairs, dtype):
    for actual, expected in pairs.values():
        limit = ROUNDINGS / 2 * torch.finfo(dtype).eps * float(expected.abs().max())
        torch.testing.assert_close(actual, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", CASES)
def test_a_twin_in_half_precision_is_as_close_as_its_type(name, dtype):
    assert_close(run(name, dtype), dtype)


@pytest.mark.parametrize("name", CASES)
def test_a_twin_under_autocast_is_as_close_as_its_type(name):
    assert_close(run(name, torch.bfloat16, autocast=True), torch.bfloat16)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", CASES)
def test_a_twin_in_half_precision_computes_the_same_on_a_gpu(name, dtype, autocast):
    assert_close(run(name, dtype, "cuda", autocast=autocast), dtype)


MIXED = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[n, c, h, w] x) => (float[n, c, p, q] y)
<int64[1] two = {2}, int64[1] four = {4}, int64[1] zero = {0}, float third = {0.3333333},
 float[1, 2, 1, 1] scale = {1.5, 2.5}>
{
  sizes = Shape (x)
  lead = Slice (sizes, zero, two)
  tail = Slice (sizes, two, four)
  real = Cast <to = 1> (tail)
  less = Mul (real, third)
  whole = Ceil (less)
  ints = Cast <to = 7> (whole)
  goal = Concat <axis = 0> (lead, ints)
  small = Resize <mode = "nearest"> (x, , , goal)
  positive = Greater (small, third)
  mask = Cast <to = 1> (positive)
  kept = Mul (small, mask)
  y = Mul (kept, scale)
}
"""


@pytest.mark.parametrize("dtype", HALVES)
def test_arithmetic_on_shapes_keeps_its_type_in_a_twin_that_was_moved(dtype):
    # 771 / 3 in bfloat16 would be 258, and 771 itself 772.
    twin = build_twin(from_proto(parser.parse_model(MIXED), name="m")).to(dtype)
    y = twin({"x": torch.ones(1, 2, 3, 771, dtype=dtype)})["y"]
    assert (tuple(y.shape), y.dtype) == ((1, 2, 1, 257), dtype)
    assert y[0, :, 0, 0].tolist() == [1.5, 2.5]


def test_a_twin_that_comes_back_computes_as_before():
    twin = build_twin(from_proto(parser.parse_model(MIXED), name="m")).double().float()
    assert twin({"x": torch.ones(1, 2, 3, 6)})["y"].dtype == torch.float32


@pytest.mark.parametrize("dtype", HALVES)
def test_a_model_in_half_precision_trains_under_autocast(dtype):
    """Gradients of float32 weights are float32, whatever the products are computed in."""
    (name,) = [name for name in CASES if name.startswith("recurrent/LSTM")][:1]
    twin = build_twin(from_proto(network(CASES[name]), name=name))
    with torch.autocast("cpu", dtype=dtype):
        outputs = twin({"x": torch.ones(1, 3, 6, 6)})
    sum(value.float().square().mean() for value in outputs.values()).backward()
    # The networks hold a convolution that some of them do not read.
    gradients = [p.grad for p in twin.parameters() if p.grad is not None]
    assert len(gradients) >= 5
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("batch_norm", BatchNorm)
def test_normalisation_under_autocast_keeps_the_type_of_its_input(batch_norm):
    text = """<ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 2, H, W] x) => (float[N, 2, H, W] y)
    <float[2, 2, 1, 1] w = {1.0, 2.0, 3.0, 4.0}, float[2] s = {1.0, 2.0}, float[2] m = {0.2, 0.1},
     float[2] v = {1.0, 3.0}>
    { c = Conv (x, w)  n = BatchNormalization (c, s, s, m, v)  y = Conv (n, w) }"""
    twin = build_twin(from_proto(parser.parse_model(text), name="m"), batch_norm=batch_norm)
    image = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = twin.eval()({"x": image})["y"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = twin({"x": image}, ["n"])
        assert values["n"].dtype == torch.bfloat16
        pair = (values["y"].detach().double(), expected.detach().double())
        assert_close({"y": pair}, torch.bfloat16)
        twin.train()({"x": image})["y"].float().sum().backward()
    moved = twin.trained_constants().get("v")
    assert (moved is None) == (batch_norm is BatchNorm.FROZEN)
    assert {p.grad.dtype for p in twin.parameters()} == {torch.float32}
