"""The scales of batch normalisations, by the units that they pass."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.calibrate.weight.batch_scales import batch_scales
from wrg_onnx.errors import StatisticsError

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def statistics(name, channels):
    """The further operands of a batch normalisation."""
    ones = np.ones(channels, np.float32)
    return {f"{name}b": ones, f"{name}m": ones, f"{name}v": ones}


WITH_ONE = """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
    c = Conv(x, w)  n = BatchNormalization(c, s, sb, sm, sv)  a = Relu(n)
    d = Conv(a, u)  y = Conv(d, v)
}"""


def test_a_scale_counts_by_its_size_and_belongs_to_the_units_of_the_layer_before(analysed):
    scale = np.float32([0.5, -2, 0, 1])
    constants = {"w": floats(4, 3, 1, 1), "u": floats(5, 4, 1, 1), "v": floats(2, 5, 1, 1)}
    units = analysed(WITH_ONE, {**constants, "s": scale, **statistics("s", 4)})
    (layer,) = batch_scales(units)
    assert layer.layer == "s"
    np.testing.assert_array_equal(layer.values, [0.5, 2, 0, 1])
    (slot,) = [s for s in units.slots if (s.name, s.axis) == ("w", 0)]
    np.testing.assert_array_equal(layer.units, units.slot_units(slot))


def test_each_normalisation_over_a_concatenation_speaks_of_all_its_layers(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            a = Conv(x, w)  b = Conv(x, u)  c = Concat<axis = 1>(a, b)
            n = BatchNormalization(c, s, sb, sm, sv)  y = Conv(n, v)
        }""",
        {
            "w": floats(2, 3, 1, 1), "u": floats(3, 3, 1, 1), "v": floats(2, 5, 1, 1),
            "s": np.arange(5, dtype=np.float32), **statistics("s", 5),
        },
    )  # fmt: skip
    (layer,) = batch_scales(units)
    assert len(set(layer.units.tolist())) == 5
    assert units.removable[layer.units].all()


def test_a_scale_that_is_no_constant_is_left_out(analysed):
    units = analysed(
        WITH_ONE.replace("(float[1,3,8,8] x)", "(float[1,3,8,8] x, float[4] q)").replace(
            "y = Conv(d, v)",
            "e = BatchNormalization(d, t, tb, tm, tv)  y = Conv(e, v)",
        ).replace("(c, s,", "(c, q,"),
        {
            "w": floats(4, 3, 1, 1), "u": floats(5, 4, 1, 1), "v": floats(2, 5, 1, 1),
            "t": floats(5), **statistics("s", 4), **statistics("t", 5),
        },
    )  # fmt: skip
    assert [layer.layer for layer in batch_scales(units)] == ["t"]


def test_without_batch_normalisation_one_line_names_the_way_out(analysed):
    units = analysed(
        "(float[1,3,8,8] x) => (float[1,2,8,8] y) { a = Conv(x, w)  y = Conv(a, v) }",
        {"w": floats(4, 3, 1, 1), "v": floats(2, 4, 1, 1)},
    )
    with pytest.raises(StatisticsError, match=r"no BatchNormalization .* fold .*--criterion l1"):
        batch_scales(units)


def test_normalisations_of_what_cannot_be_pruned_alone_do_not_help(analysed):
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            a = Conv(x, w)  b = Conv(a, v)  y = BatchNormalization(b, s, sb, sm, sv)
        }""",
        {
            "w": floats(4, 3, 1, 1), "v": floats(2, 4, 1, 1),
            "s": floats(2), **statistics("s", 2),
        },
    )  # fmt: skip
    with pytest.raises(StatisticsError, match="no BatchNormalization"):
        batch_scales(units)
