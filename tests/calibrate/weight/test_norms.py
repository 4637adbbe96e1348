"""W and the norms of filters as they are, of every kind of layer and of quantised ones."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.calibrate.weight import filters
from wrg_onnx.calibrate.weight.filters import of_filters
from wrg_onnx.calibrate.weight.norms import l1_norms, l2_norms, scaled_norms

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def by_name(layers):
    return {layer.layer: layer.values for layer in layers}


@pytest.mark.parametrize("chunk", [1, 30, 1 << 22])
def test_filters_of_convolutions_and_products_are_normed_per_output(analysed, monkeypatch, chunk):
    monkeypatch.setattr(filters, "CHUNK_ELEMENTS", chunk)
    constants = {
        "w1": floats(6, 3, 3, 3), "b1": floats(6), "t": floats(6, 5, 2, 2),
        "d": floats(5, 1, 3, 3), "m": floats(5, 7), "f": floats(2, 7),
    }  # fmt: skip
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2] y) {
            c = Conv<pads=[1,1,1,1]>(x, w1, b1)
            u = ConvTranspose<strides=[2,2]>(c, t)
            e = Conv<group=5, pads=[1,1,1,1]>(u, d)
            p = ReduceMean<axes=[2,3], keepdims=0>(e)
            q = MatMul(p, m)
            y = Gemm<transB=1>(q, f)
        }""",
        constants,
    )
    scaled, l2, l1 = (by_name(norms(units)) for norms in (scaled_norms, l2_norms, l1_norms))
    axes = {"w1": 0, "t": 1, "d": 0, "m": 1, "f": 0}
    assert set(scaled) == set(l2) == set(l1) == set(axes)  # a bias is no filter
    for name, axis in axes.items():
        rows = np.moveaxis(constants[name], axis, 0).reshape(constants[name].shape[axis], -1)
        np.testing.assert_allclose(l2[name], np.linalg.norm(rows, axis=1), rtol=1e-5)
        np.testing.assert_array_equal(scaled[name], l2[name])  # nothing here scales a channel
        np.testing.assert_allclose(l1[name], np.abs(rows).sum(axis=1), rtol=1e-5)


def test_float16_filters_do_not_overflow(analysed):
    weight = np.full((4, 3, 3, 3), 6e4, np.float16)
    units = analysed(
        """(float16[1,3,8,8] x) => (float16[1,2,6,6] y) {
            c = Conv(x, w)  a = Relu(c)  y = Conv(a, v)
        }""",
        {"w": weight, "v": floats(2, 4, 1, 1).astype(np.float16)},
    )
    l2 = by_name(l2_norms(units))
    np.testing.assert_allclose(l2["w"], np.linalg.norm(weight.astype(float).reshape(4, -1), axis=1))


def norms_of(analysed, body, constants, opset=21):
    units = analysed(f"(float[1,3,8,8] x) => (float[1,2,8,8] y) {{ {body}  y = Conv(a, v) }}",
                     {"v": floats(2, 4, 1, 1), **constants}, opset)  # fmt: skip
    return by_name(l1_norms(units))


def dequantised_norms(weight, zero_point, scale):
    real = (weight.astype(float) - zero_point) * scale
    return np.abs(real).reshape(len(weight), -1).sum(axis=1)


@pytest.mark.parametrize("chunk", [1, 1 << 22])
def test_filters_behind_dequantisation_are_normed_as_what_they_stand_for(
    analysed, monkeypatch, chunk
):
    monkeypatch.setattr(filters, "CHUNK_ELEMENTS", chunk)
    w = RNG.integers(0, 256, (4, 3, 1, 1)).astype(np.uint8)
    scale, zero = np.float32([0.1, 0.4, 0.2, 0.3]), np.uint8([100, 128, 130, 7])
    body = "d = DequantizeLinear<axis = 0>(w, s, z)  a = Conv(x, d)"
    found = norms_of(analysed, body, {"w": w, "s": scale, "z": zero})
    spread = dequantised_norms(w, zero.reshape(4, 1, 1, 1), scale.reshape(4, 1, 1, 1))
    np.testing.assert_allclose(found["w"], spread, rtol=1e-6)


def test_filters_quantised_in_blocks_are_normed_block_by_block(analysed):
    w = RNG.integers(-128, 128, (4, 3, 1, 1)).astype(np.int8)
    scale = RNG.uniform(0.1, 1, (4, 2, 1, 1)).astype(np.float32)
    body = "d = DequantizeLinear<axis = 1, block_size = 2>(w, s)  a = Conv(x, d)"
    found = norms_of(analysed, body, {"w": w, "s": scale})
    blocks = scale.repeat(2, axis=1)[:, :3]
    np.testing.assert_allclose(found["w"], dequantised_norms(w, 0, blocks), rtol=1e-6)


def test_filters_of_an_integer_convolution_are_normed_around_their_zero_point(analysed):
    w = RNG.integers(0, 256, (4, 3, 1, 1)).astype(np.uint8)
    body = "q = QuantizeLinear(x, s, z)  i = ConvInteger(q, w, z, z)  a = Cast<to = 1>(i)"
    found = norms_of(analysed, body, {"w": w, "s": np.float32(0.1), "z": np.uint8(128)})
    np.testing.assert_allclose(found["w"], dequantised_norms(w, 128, 1))


def test_integers_of_unknown_meaning_are_left_out(analysed):
    w = RNG.integers(0, 256, (3, 4, 1, 1)).astype(np.uint8)
    body = """q = QuantizeLinear(x, s, z)  t = Transpose<perm = [1, 0, 2, 3]>(w)
              i = ConvInteger(q, t, z, z)  a = Cast<to = 1>(i)"""
    found = norms_of(analysed, body, {"w": w, "s": np.float32(0.1), "z": np.uint8(128)})
    assert set(found) == {"v"}


@pytest.mark.parametrize("chunk", [1, 1 << 22])
def test_any_function_of_filters_is_taken_layer_by_layer(analysed, monkeypatch, chunk):
    monkeypatch.setattr(filters, "CHUNK_ELEMENTS", chunk)
    constants = {"w": floats(4, 3, 1, 1), "v": floats(2, 4, 1, 1)}
    units = analysed(
        "(float[1,3,8,8] x) => (float[1,2,8,8] y) { a = Conv(x, w)  y = Conv(a, v) }", constants
    )
    found = by_name(of_filters(units, lambda rows: np.abs(rows).max(axis=1)))
    for name, weight in constants.items():
        np.testing.assert_array_equal(found[name], np.abs(weight).max(axis=(1, 2, 3)))
