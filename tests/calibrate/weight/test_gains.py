"""What scales a filter's channel: W is the same whether an exporter folded it in or not."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from wrg_onnx.calibrate.weight.gains import filter_gains
from wrg_onnx.calibrate.weight.norms import scaled_norms

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


GAMMA, VARIANCE = np.float32([0.5, -2, 0, 1]), np.float32([4, 0.25, 1, 9])
STATISTICS = {"s": GAMMA, "sb": floats(4), "sm": floats(4), "sv": VARIANCE}
BN_GAIN = np.abs(GAMMA) / np.sqrt(VARIANCE + 1e-5)
WEIGHT = floats(4, 3, 1, 1)
ONE = np.ones(4)


def gain_of_w(analysed, body, constants=(), *, inputs="", outputs="float[1,2,8,8] y"):
    """The gain of each filter of ``w``; the body turns its channels into ``a``."""
    text = f"(float[1,3,8,8] x{inputs}) => ({outputs}) {{ {body}  y = Conv(a, v) }}"
    given = {"w": WEIGHT, "v": floats(2, 4, 1, 1), **STATISTICS, **dict(constants)}
    units = analysed(text, {name: array for name, array in given.items() if name in text})
    (slot,) = [s for s in units.slots if s.name == "w" and units.is_filter[s.offset]]
    return filter_gains(units)[slot.offset : slot.offset + slot.size]


BN = "BatchNormalization(c, s, sb, sm, sv)"
PER_CHANNEL = np.float32([2, -3, 0.5, 4]).reshape(1, 4, 1, 1)
MUL_GAIN = np.abs(PER_CHANNEL).ravel()
LAST = "t = Transpose<perm = [0,2,3,1]>(c)  m = Mul(t, last)  a = Transpose<perm = [0,3,1,2]>(m)"


@pytest.mark.parametrize(
    ("body", "gain"),
    [
        (f"c = Conv(x, w)  a = {BN}", BN_GAIN),
        (f"b = Conv(x, w)  c = Add(b, p)  a = {BN}", BN_GAIN),
        (
            f"c = Conv(x, w)  n = {BN}  m = Mul(p, n)  a = Relu(m)",
            BN_GAIN * MUL_GAIN,
        ),
        ("c = Conv(x, w)  a = Div(c, p)", 1 / MUL_GAIN),
        ("c = Conv(x, w)  a = Mul(c, two)", 2 * ONE),
        ("c = Conv(x, w)  a = Sub(p, c)", ONE),
        (f"b = Conv(x, w)  c = Identity(b)  a = {BN}", BN_GAIN),
        ("c = Conv(x, w)  i = Identity(s)  a = BatchNormalization(c, i, sb, sm, sv)", BN_GAIN),
        (f"c = Conv(x, w)  a = {BN.replace('(', '<epsilon = 0.5>(')}",
         np.abs(GAMMA) / np.sqrt(VARIANCE + 0.5)),
        (f"c = Conv(x, w)  {LAST}", MUL_GAIN),
    ],
    ids=["bn", "bias-bn", "bn-mul", "div", "number", "sub", "identity", "shared-scale", "epsilon",
         "transposed"],
)  # fmt: skip
def test_what_scales_a_channel_is_its_filters_gain(analysed, body, gain):
    constants = {"p": PER_CHANNEL, "two": np.float32(-2), "last": PER_CHANNEL.ravel()}
    found = gain_of_w(analysed, body, constants)
    np.testing.assert_allclose(found, gain, rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (f"c = Conv(x, w)  n = {BN}  r = Relu(c)  a = Add(n, r)", {}),
        (f"b = Conv(x, w)  c = Relu(b)  a = {BN}", {}),
        ("c = Conv(x, w)  a = Mul(c, c)", {}),
        ("c = Conv(x, w)  a = Mul(c, q)", {"inputs": ", float[1,4,1,1] q"}),
        ("c = Conv(x, w)  a = BatchNormalization(c, s, sb, sm, q)", {"inputs": ", float[4] q"}),
        ("c = Conv(x, w)  a = Div(p, c)", {}),
        ("c = Conv(x, w)  a = Mul(c, rows)", {}),
        (f"c = Conv(x, w)  a = {BN}", {"outputs": "float[1,4,8,8] c, float[1,2,8,8] y"}),
    ],
    ids=[
        "two-readers",
        "behind-relu",
        "square",
        "fed",
        "fed-variance",
        "divisor",
        "rows",
        "output",
    ],
)
def test_what_is_not_a_constant_scale_right_behind_is_none(analysed, body, more):
    zero, infinite = PER_CHANNEL.copy(), PER_CHANNEL.copy()
    zero[0, 1], infinite[0, 1] = 0, np.inf
    constants = {"p": PER_CHANNEL, "rows": floats(1, 1, 8, 1), "zero": zero, "inf": infinite}
    np.testing.assert_array_equal(gain_of_w(analysed, body, constants, **more), ONE)


def test_a_normalisation_that_trains_has_no_gain(analysed):
    body = "c = Conv(x, w)  a, rm, rv = BatchNormalization<training_mode = 1>(c, s, sb, sm, sv)"
    np.testing.assert_array_equal(gain_of_w(analysed, body), ONE)


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (1, 3, 1, 1)])
def test_a_constant_that_widens_the_tensor_is_no_gain(analysed, shape):
    units = analysed(
        """(float[1,3] x) => (float[1,n,1,2] y) {
            c = MatMul(x, w)  a = Mul(c, p)  y = MatMul(a, v)
        }""",
        {"w": floats(3, 4), "p": floats(*shape), "v": floats(4, 2)},
    )
    np.testing.assert_array_equal(filter_gains(units)[units.is_filter], 1)


def test_normalisation_by_place_of_opset_7_is_no_gain(analysed):
    units = analysed(
        """(float[1,3,2,2] x) => (float[1,2,2,2] y) {
            c = Conv(x, w)  a = BatchNormalization<spatial = 0>(c, s, s, s, s)  y = Conv(a, v)
        }""",
        {"w": WEIGHT, "s": np.abs(floats(4, 2, 2)), "v": floats(2, 4, 1, 1)},
        7,
    )
    np.testing.assert_array_equal(filter_gains(units)[units.is_filter], 1)


def test_tokens_are_scaled_by_what_stands_at_their_channels(analysed):
    """Linear and BatchNorm1d over tokens: the channels are the last axis, then the second."""
    units = analysed(
        """(float[1,5,3] x) => (float[1,5,2] y) {
            c = MatMul(x, w)  t = Transpose<perm = [0,2,1]>(c)
            n = BatchNormalization(t, s, sb, sm, sv)  a = Transpose<perm = [0,2,1]>(n)
            y = MatMul(a, v)
        }""",
        {"w": floats(3, 4), "v": floats(4, 2), **STATISTICS},
    )
    (slot,) = [s for s in units.slots if (s.name, s.axis) == ("w", 1)]
    found = filter_gains(units)[slot.offset : slot.offset + slot.size]
    np.testing.assert_allclose(found, BN_GAIN, rtol=1e-6)


def test_normalisation_over_as_many_tokens_as_channels_is_no_gain(analysed):
    units = analysed(
        """(float[1,4,3] x) => (float[1,4,2] y) {
            c = MatMul(x, w)  a = BatchNormalization(c, s, sb, sm, sv)  y = MatMul(a, v)
        }""",
        {"w": floats(3, 4), "v": floats(4, 2), **STATISTICS},
    )
    np.testing.assert_array_equal(filter_gains(units)[units.is_filter], 1)


def test_an_activation_inside_a_fused_layer_ends_the_gain(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            c = com.microsoft.FusedConv<activation = "Tanh">(x, w)  a = Mul(c, p)  y = Conv(a, v)
        }""",
        {"w": WEIGHT, "p": PER_CHANNEL, "v": floats(2, 4, 1, 1)},
    )
    np.testing.assert_array_equal(filter_gains(units)[units.is_filter], 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_read(analysed, dtype):
    kind = np.dtype(dtype) if dtype == "float16" else ml_dtypes.bfloat16
    units = analysed(
        f"({dtype}[1,3,8,8] x) => ({dtype}[1,2,8,8] y) {{ c = Conv(x, w)  a = Mul(c, p)"
        "  y = Conv(a, v) }",
        {"w": WEIGHT.astype(kind), "p": PER_CHANNEL.astype(kind),
         "v": floats(2, 4, 1, 1).astype(kind)},
    )  # fmt: skip
    (slot,) = [s for s in units.slots if (s.name, s.axis) == ("w", 0)]
    np.testing.assert_allclose(filter_gains(units)[slot.offset : slot.offset + 4], MUL_GAIN)


def test_a_weight_of_which_a_part_is_read_has_none(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            u = Slice(w, zero, four, zero)  c = Conv(x, u)  a = Mul(c, p)  y = Conv(a, v)
        }""",
        {"w": floats(6, 3, 1, 1), "zero": np.array([0]), "four": np.array([4]),
         "p": PER_CHANNEL, "v": floats(2, 4, 1, 1)},
    )  # fmt: skip
    np.testing.assert_array_equal(filter_gains(units)[units.is_filter], 1)


def test_a_branch_that_reads_the_channels_too_ends_the_gain(analysed):
    units = analysed(
        """(float[1,3,8,8] x, bool q) => (float[1,2,8,8] y) {
            c = Conv(x, w)  n = Mul(c, p)
            a = If(q) <
                then_branch = one () => (float[1,4,8,8] t) { t = Add(n, c) },
                else_branch = two () => (float[1,4,8,8] e) { e = Relu(n) }
            >
            y = Conv(a, v)
        }""",
        {"w": WEIGHT, "p": PER_CHANNEL, "v": floats(2, 4, 1, 1)},
    )
    np.testing.assert_array_equal(filter_gains(units)[units.is_filter], 1)


def test_an_impossible_variance_has_no_gain(analysed):
    constants = {"sv": np.float32([-1, 1, 1, 1])}
    np.testing.assert_array_equal(gain_of_w(analysed, f"c = Conv(x, w)  a = {BN}", constants), ONE)


def test_a_weight_that_two_layers_read_has_the_mean_of_their_gains(analysed):
    body = f"""c = Conv(x, w)  n = {BN}  d = Conv(x, w)  m = Mul(d, p)  a = Add(n, m)"""
    found = gain_of_w(analysed, body, {"p": PER_CHANNEL})
    np.testing.assert_allclose(found, (BN_GAIN + MUL_GAIN) / 2, rtol=1e-6)


def test_the_gates_of_a_recurrent_layer_have_none(analysed):
    hidden = 5
    units = analysed(
        """(float[6,1,3] x) => (float[6,1,1,2] y) {
            h = LSTM<hidden_size = 5>(x, w, r)  m = Mul(h, p)  y = MatMul(m, v)
        }""",
        {
            "w": floats(1, 4 * hidden, 3), "r": floats(1, 4 * hidden, hidden),
            "p": floats(hidden), "v": floats(hidden, 2),
        },
    )  # fmt: skip
    assert units.is_filter.any()
    np.testing.assert_array_equal(filter_gains(units)[units.is_filter], 1)


@pytest.mark.parametrize(
    ("op", "shape", "spread"),
    [
        ("Conv", (4, 6, 3, 3), (4, 1, 1, 1)),
        ("Conv<group = 2>", (4, 3, 3, 3), (4, 1, 1, 1)),
        ("ConvTranspose", (6, 4, 3, 3), (1, 4, 1, 1)),
    ],
    ids=["conv", "grouped", "transposed"],
)
def test_scaled_norms_are_those_of_the_folded_file(analysed, op, shape, spread):
    weight, last = floats(*shape), floats(2, 4, 1, 1)
    folded = weight * (GAMMA / np.sqrt(VARIANCE + 1e-5)).reshape(spread)
    size = "10,10" if op == "ConvTranspose" else "6,6"
    head = f"(float[1,6,8,8] x) => (float[1,2,{size}] y) {{ c = {op}(x, w)"
    apart = analysed(f"{head}  a = {BN}  y = Conv(a, v) }}", {"w": weight, "v": last, **STATISTICS})
    joined = analysed(
        f"{head}  a = Add(c, p)  y = Conv(a, v) }}",
        {"w": folded.astype(np.float32), "v": last, "p": PER_CHANNEL},
    )
    mine, theirs = ({n.layer: n.values for n in scaled_norms(u)} for u in (apart, joined))
    np.testing.assert_allclose(mine["w"], theirs["w"], rtol=1e-5)


def test_positions_that_every_group_shares_have_the_mean_gain_of_the_groups(analysed):
    body = f"c = ConvTranspose<group = 2>(x, w)  a = {BN}  y = Conv(a, v)"
    units = analysed(
        f"(float[1,6,8,8] x) => (float[1,2,10,10] y) {{ {body} }}",
        {"w": floats(6, 2, 3, 3), "v": floats(2, 4, 1, 1), **STATISTICS},
    )
    (slot,) = [s for s in units.slots if (s.name, s.axis) == ("w", 1)]
    found = filter_gains(units)[slot.offset : slot.offset + slot.size]
    np.testing.assert_allclose(found, BN_GAIN.reshape(2, 2).mean(axis=0), rtol=1e-6)
