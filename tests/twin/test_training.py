"""The twin while it trains: batch statistics, and the way back into an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, parser

from wrg_onnx.graph import Edit, edited, load, open_session, save
from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import BatchNorm, build_twin

TINY_UNET = Path(__file__).parents[2] / "models" / "tiny_unet.onnx"

NORMALISED = """
<ir_version: 8, opset_import: ["" : 15]>
net (float[N, 2, 3, 3] image) => (float[N, 2, 3, 3] y)
<
  float[2] "bn.scale" = {1.0, 2.0},
  float[2] "bn.bias" = {0.0, 0.5},
  float[2] "bn.mean" = {0.3, 0.4},
  float[2] "bn.var" = {1.0, 2.0}
>
{
  y = BatchNormalization <momentum = 0.75> (image, "bn.scale", "bn.bias", "bn.mean", "bn.var")
}
"""


def normalised(**options):
    return build_twin(from_proto(parser.parse_model(NORMALISED), name="m"), **options)


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_batch_norm():
    """Return two convolutions, each with statistics of its own."""
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "v": (2, 4, 1, 1), **dict.fromkeys(("b1", "b2", "b3"), (4,))}
    constants = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    text = """<ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 3, H, W] image) => (float[N, 2, H, W] y)
    <float[4] var = {1.0, 2.0, 3.0, 4.0}>
    { a = Conv <pads = [1, 1, 1, 1]> (image, w)  b = BatchNormalization (a, b1, b2, b3, var)
      c = Relu (b)  y = Conv (c, v) }"""
    model = parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
    return from_proto(model, name="m")


def test_frozen_statistics_stay_and_are_used_while_the_twin_trains():
    twin, image = normalised(), images(4, 2, 3, 3)
    evaluated = twin.eval()({"image": image})["y"]
    torch.testing.assert_close(twin.train()({"image": image})["y"], evaluated)
    assert sorted(twin.trained_constants()) == ["bn.bias", "bn.scale"]


def test_training_normalises_by_the_batch_and_moves_the_running_statistics():
    twin, image = normalised(batch_norm=BatchNorm.TRAIN).train(), images(4, 2, 3, 3)
    y = twin({"image": image})["y"]
    mean, var = image.mean((0, 2, 3)), image.var((0, 2, 3), correction=0)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.tensor([0.0, 0.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        y.var((0, 2, 3), correction=0), torch.tensor([1.0, 4.0]), atol=1e-4, rtol=0
    )
    moved = twin.trained_constants()
    np.testing.assert_allclose(
        moved["bn.mean"], 0.75 * np.array([0.3, 0.4]) + 0.25 * mean.numpy(), rtol=1e-5
    )
    np.testing.assert_allclose(
        moved["bn.var"], 0.75 * np.array([1.0, 2.0]) + 0.25 * var.numpy(), rtol=1e-5
    )


def test_evaluating_uses_the_statistics_that_training_moved():
    twin, image = normalised(batch_norm=BatchNorm.TRAIN), images(4, 2, 3, 3)
    before = twin.eval()({"image": image})["y"]
    for _ in range(60):
        trained = twin.train()({"image": image})["y"]
    evaluated = twin.eval()({"image": image})["y"]
    assert not torch.allclose(before, evaluated, atol=1e-2)
    torch.testing.assert_close(evaluated, trained, rtol=1e-4, atol=1e-5)


def test_the_gradient_goes_through_the_batch_statistics():
    twin = normalised(batch_norm=BatchNorm.TRAIN).double().train()
    image = images(2, 2, 3, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: twin({"image": x})["y"], image)


def test_a_batch_of_one_element_has_no_variance():
    twin = normalised(batch_norm=BatchNorm.TRAIN).train()
    twin({"image": images(1, 2, 1, 1)})
    np.testing.assert_allclose(twin.trained_constants()["bn.var"], [0.75, 1.5])


@pytest.mark.parametrize("batch_norm", BatchNorm)
def test_constants_come_back_as_they_went_in(batch_norm):
    graph = load(TINY_UNET)
    constants = build_twin(graph, batch_norm=batch_norm).trained_constants()
    assert constants.keys() <= graph.constants.keys()
    assert len(constants) > 20
    for name, array in constants.items():
        np.testing.assert_array_equal(array, graph.constants[name])
        assert (array.dtype, array.shape) == (
            graph.constants[name].dtype, graph.constants[name].shape,
        )  # fmt: skip


def test_half_precision_constants_come_back_in_their_own_type():
    text = """<ir_version: 10, opset_import: ["" : 21]>
    g (float16[2] x) => (float16[2] y)
    { a = Mul (x, w)  b = Cast <to = 16> (a)  c = Mul (b, v)  y = Cast <to = 10> (c) }"""
    model = parser.parse_model(text)
    model.graph.initializer.extend([
        helper.make_tensor("w", TensorProto.FLOAT16, [2], [1.5, 2.0]),
        helper.make_tensor("v", TensorProto.BFLOAT16, [2], [0.5, 3.0]),
    ])  # fmt: skip
    constants = build_twin(from_proto(model, name="m")).float().trained_constants()
    assert {name: array.dtype.name for name, array in constants.items()} == {
        "w": "float16", "v": "bfloat16",
    }  # fmt: skip
    np.testing.assert_array_equal(constants["v"].astype(np.float32), [0.5, 3.0])


@pytest.mark.parametrize("batch_norm", BatchNorm)
@pytest.mark.parametrize("make", [lambda: load(TINY_UNET), with_batch_norm])
def test_a_trained_twin_written_back_computes_the_same_in_onnx_runtime(make, batch_norm, tmp_path):
    graph = make()
    image = images(2, 3, 160, 160)
    twin = build_twin(graph, batch_norm=batch_norm).train()
    before = twin.trained_constants()
    (output,) = twin.output_names
    twin({"image": image})[output].square().mean().backward()
    torch.optim.SGD(twin.parameters(), lr=1e-2).step()
    after = twin.trained_constants()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert len(changed) == len(before)
    save(edited(graph, Edit(constants=after)), tmp_path / "trained.onnx")
    with torch.no_grad():
        mine = twin.eval()({"image": image})[output].numpy()
    session = open_session(load(tmp_path / "trained.onnx"), exact=True)
    theirs = session.run({"image": image.numpy()})[output]
    np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_norm", BatchNorm)
def test_statistics_that_share_an_initializer_stay_as_they_are(batch_norm):
    text = """<ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 2, H, W] image) => (float[N, 2, H, W] y)
    <float[2] ones = {1.0, 1.0}, float[2] zeros = {0.0, 0.0}, float[2] s = {2.0, 3.0}>
    { a = BatchNormalization (image, ones, zeros, zeros, ones)
      y = BatchNormalization (a, s, s, zeros, ones) }"""
    twin = build_twin(from_proto(parser.parse_model(text), name="m"), batch_norm=batch_norm)
    image = images(4, 2, 3, 3)
    expected = twin.eval()({"image": image})["y"]
    y = twin.train()({"image": image})["y"]
    torch.testing.assert_close(y, expected)
    y.sum().backward()
    constants = twin.trained_constants()
    assert sorted(constants) == ["ones", "s", "zeros"]
    np.testing.assert_array_equal(constants["zeros"], [0.0, 0.0])
