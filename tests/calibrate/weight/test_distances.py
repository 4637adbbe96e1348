"""How far filters are from each other."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.calibrate.weight import distances
from wrg_onnx.calibrate.weight.distances import filter_distances

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def by_name(layers):
    return {layer.layer: layer.values for layer in layers}


PAIR = """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
    c = Conv(x, w)  a = Relu(c)  y = Conv(a, v)
}"""


def summed_distances(rows):
    """Written out, filter by filter."""
    rows = rows.astype(float).reshape(len(rows), -1)
    return [sum(np.linalg.norm(row - other) for other in rows) for row in rows]


def test_distances_of_three_filters_are_those_of_a_triangle(analysed):
    corners = np.float32([[0, 0, 7], [3, 0, 7], [0, 4, 7]]).reshape(3, 3, 1, 1)
    units = analysed(PAIR, {"w": corners, "v": floats(2, 3, 1, 1)})
    found = by_name(filter_distances(units))
    np.testing.assert_allclose(found["w"], [3 + 4, 3 + 5, 4 + 5])


@pytest.mark.parametrize("bound", [1, 30, 1 << 23])
def test_distances_do_not_depend_on_how_many_filters_are_looked_at_at_a_time(
    analysed, monkeypatch, bound
):
    monkeypatch.setattr(distances, "BLOCK_ELEMENTS", bound)
    constants = {"w": floats(7, 3, 3, 3), "t": floats(7, 5, 2, 2), "v": floats(2, 5, 1, 1)}
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,12,12] y) {
            c = Conv(x, w)  a = ConvTranspose<strides=[2,2]>(c, t)  y = Conv(a, v)
        }""",
        constants,
    )
    found = by_name(filter_distances(units))
    np.testing.assert_allclose(found["w"], summed_distances(constants["w"]), rtol=1e-12)
    np.testing.assert_allclose(
        found["t"], summed_distances(np.moveaxis(constants["t"], 1, 0)), rtol=1e-12
    )


def test_a_layer_that_cannot_be_pruned_is_spared_its_distances(analysed):
    units = analysed(PAIR, {"w": floats(4, 3, 1, 1), "v": floats(2, 4, 1, 1)})
    assert set(by_name(filter_distances(units))) == {"w"}  # "v" makes the output


def test_equal_filters_are_at_no_distance_that_counts(analysed):
    one = floats(1, 3, 1, 1)
    units = analysed(PAIR, {"w": one.repeat(4, axis=0), "v": floats(2, 4, 1, 1)})
    assert by_name(filter_distances(units))["w"].max() < 1e-6 * np.linalg.norm(one)


def test_distances_of_float16_filters_do_not_overflow(analysed):
    weight = np.float16([[6e4, 0, 0], [-6e4, 0, 0]]).reshape(2, 3, 1, 1)
    units = analysed(
        PAIR.replace("float[", "float16["), {"w": weight, "v": floats(2, 2, 1, 1).astype("e")}
    )
    np.testing.assert_allclose(by_name(filter_distances(units))["w"], summed_distances(weight))


def test_distances_of_quantised_filters_are_those_of_what_they_stand_for(analysed):
    w = RNG.integers(0, 256, (4, 3, 1, 1)).astype(np.uint8)
    scale, zero = np.float32([0.1, 0.4, 0.2, 0.3]), np.uint8([100, 128, 130, 7])
    units = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            d = DequantizeLinear<axis = 0>(w, s, z)  a = Conv(x, d)  y = Conv(a, v)
        }""",
        {"w": w, "s": scale, "z": zero, "v": floats(2, 4, 1, 1)},
        21,
    )
    real = (w.astype(float) - zero.reshape(4, 1, 1, 1)) * scale.reshape(4, 1, 1, 1)
    np.testing.assert_allclose(
        by_name(filter_distances(units))["w"], summed_distances(real), rtol=1e-6
    )
