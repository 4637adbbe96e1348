"""Taps: which tensor tells what a layer's filters have become, and how it is seen as maps."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.calibrate.taps import Tap, channels_first, chunks, plan_taps

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def bn(count):
    return {
        "s": floats(count), "o": floats(count), "m": floats(count),
        "v": np.abs(floats(count)) + 1,
    }  # fmt: skip


def tapped(units):
    return [tap.tensor for tap in plan_taps(units)]


CONV = {"w1": floats(4, 3, 3, 3), "w2": floats(2, 4, 1, 1)}


def test_a_tap_lies_after_batch_norm_and_activation(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            c = Conv<pads=[1,1,1,1]>(x, w1)
            n = BatchNormalization(c, s, o, m, v)
            a = Relu(n)
            y = Conv(a, w2)
        }""",
        {**CONV, **bn(4)},
    )
    (tap,) = plan_taps(units)
    assert (tap.tensor, tap.axis, tap.size) == ("a", 1, 4 * 8 * 8)
    assert len(set(tap.units)) == 4
    assert units.removable[tap.units].all()


@pytest.mark.parametrize(
    "nodes",
    [
        "g = Sigmoid(c)  a = Mul(c, g)",  # SiLU
        "g = HardSigmoid(c)  a = Mul(g, c)",  # hard swish
        "t = Add(c, three)  g = Clip(t, zero, six)  u = Mul(c, g)  a = Div(u, six)",
        "d = Div(c, six)  e = Erf(d)  f = Add(e, three)  h = Mul(c, f)  a = Mul(h, six)",  # GELU
        "a = Identity(c)",
        "a = PRelu(c, slope)",
        "b = Mul(c, slope)  a = Add(b, slope)",  # a scale and a shift
        "a = Dropout(c)",
        "a = com.microsoft.Gelu(c)",
        "a = com.microsoft.QuickGelu(c)",
        "a = com.microsoft.FastGelu(c)",
    ],
)
def test_activations_of_several_nodes_are_followed_to_their_end(analysed, nodes):
    units = analysed(
        f"""(float[1,3,8,8] x) => (float[1,2,8,8] y) {{
            c = Conv<pads=[1,1,1,1]>(x, w1)  {nodes}  y = Conv(a, w2)
        }}""",
        {
            **CONV,
            "three": np.float32(3), "zero": np.float32(0), "six": np.float32(6),
            "slope": floats(4, 1, 1),
        },
    )  # fmt: skip
    assert tapped(units) == ["a"]


def test_a_fused_bias_is_followed(analysed):
    units = analysed(
        """(float[1,5,3] x) => (float[1,5,2] y) {
            c = MatMul(x, v1)  a = com.microsoft.BiasGelu(c, b)  y = MatMul(a, v2)
        }""",
        {"v1": floats(3, 4), "b": floats(4), "v2": floats(4, 2)},
    )
    assert tapped(units) == ["a"]


def test_a_tap_stops_where_the_tensor_is_read_elsewhere(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            c = Conv<pads=[1,1,1,1]>(x, w1)
            a = Relu(c)
            b = Sigmoid(a)
            p = Conv(a, w2)
            q = Conv(b, w2)
            y = Add(p, q)
        }""",
        CONV,
    )
    assert tapped(units) == ["a"]


def test_a_residual_sum_is_not_a_layers_own_map(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            c = Conv<pads=[1,1,1,1]>(x, w1)
            a = Relu(c)
            d = Conv<pads=[1,1,1,1]>(a, w3)
            e = Identity(d)
            r = Add(a, e)
            f = Relu(r)
            y = Conv(f, w2)
        }""",
        {**CONV, "w3": floats(4, 4, 3, 3)},
    )
    assert tapped(units) == ["a", "e"]


def test_a_layer_whose_channels_the_caller_sees_has_no_tap(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y, float[1,4] z) {
            c = Conv<pads=[1,1,1,1]>(x, w1)
            a = Relu(c)
            y = Conv(a, w2)
            z = ReduceMean<axes=[2,3], keepdims=0>(a)
        }""",
        CONV,
    )
    assert tapped(units) == []


def test_layers_that_cannot_shrink_have_no_tap(analysed):
    units = analysed(
        "(float[1,3,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, w1) }", {"w1": CONV["w1"]}
    )
    assert tapped(units) == []


def test_one_tensor_has_one_tap(analysed):
    units = analysed(
        """(float[1,8] x) => (float[1,2] y) {
            a = MatMul(x, w1)  b = Add(a, bias)  c = Relu(b)  y = MatMul(c, w2)
        }""",
        {"w1": floats(8, 5), "bias": floats(5), "w2": floats(5, 2)},
    )
    assert tapped(units) == ["c"]
    (tap,) = plan_taps(units)
    assert (tap.axis, tap.size) == (1, 5)


def test_channels_last_maps_are_tapped_on_their_own_axis(analysed):
    units = analysed(
        """(float[1,8,8,3] x) => (float[1,8,8,2] y) {
            t = Transpose<perm=[0,3,1,2]>(x)
            c = Conv<pads=[1,1,1,1]>(t, w1)
            u = Transpose<perm=[0,2,3,1]>(c)
            a = Relu(u)
            y = MatMul(a, w2)
        }""",
        {"w1": CONV["w1"], "w2": floats(4, 2)},
    )
    taps = plan_taps(units)
    assert [(tap.tensor, tap.axis) for tap in taps] == [("c", 1)]  # Transpose is not pointwise

    units = analysed(
        """(float[1,8,8,3] x) => (float[1,8,8,2] y) {
            c = MatMul(x, w1)  a = Relu(c)  y = MatMul(a, w2)
        }""",
        {"w1": floats(3, 4), "w2": floats(4, 2)},
    )
    (tap,) = plan_taps(units)
    assert (tap.tensor, tap.axis) == ("a", 3)
    maps = floats(1, 8, 8, 4)
    np.testing.assert_array_equal(channels_first(tap, maps), maps.transpose(0, 3, 1, 2))


# --- maps ----------------------------------------------------------------------------------------


def tap(axis, size=1, name="t"):
    return Tap(name, axis, np.zeros(1, np.int64), size)


@pytest.mark.parametrize(
    ("axis", "shape", "seen"),
    [
        (1, (2, 5, 7, 9), (2, 5, 7, 9)),
        (3, (2, 7, 9, 5), (2, 5, 7, 9)),
        (1, (2, 5), (2, 5, 1, 1)),
        (2, (2, 7, 5), (2, 5, 7, 1)),
        (1, (2, 5, 7), (2, 5, 7, 1)),
        (1, (2, 5, 3, 7, 9), (2, 5, 21, 9)),
        (0, (5, 7, 9), (1, 5, 7, 9)),
    ],
)
def test_any_tensor_is_seen_as_maps(axis, shape, seen):
    array = floats(*shape)
    found = channels_first(tap(axis), array)
    assert found.shape == seen
    channels = np.moveaxis(found, 1, 0).reshape(5, -1)
    np.testing.assert_array_equal(channels, np.moveaxis(array, axis, 0).reshape(5, -1))


@pytest.mark.parametrize("bound", [1, 40, 100, 10_000])
def test_chunks_fit_the_bound_in_order(bound):
    taps = [tap(1, size, f"t{size}") for size in (1, 10, 9, 30, 5, 5)]
    parts = list(chunks(taps, bound))
    assert [one for part in parts for one in part] == taps
    for part in parts:
        assert len(part) == 1 or sum(4 * one.size for one in part) <= bound


def test_no_taps_make_no_chunk():
    assert list(chunks([], 10)) == []
