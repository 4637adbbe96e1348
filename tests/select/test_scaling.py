"""Statistics per unit: layers scaled to geometric mean 1, then averaged over a unit's layers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wrg_onnx.factors import LayerValues
from wrg_onnx.select import per_unit


def layer(units, values, name="w"):
    return LayerValues(name, np.array(units, np.int64), np.array(values, np.float64))


def test_a_layer_is_divided_by_its_geometric_mean():
    found = per_unit([layer([0, 1, 2], [1, 3, 9])], 3)
    np.testing.assert_allclose(found.values, [1 / 3, 1, 3])
    assert found.measured.all()


def test_layers_of_different_scale_weigh_the_same():
    found = per_unit([layer([0, 1], [1, 4]), layer([0, 1], [4000, 1000])], 2)
    np.testing.assert_allclose(found.values, [1.25, 1.25])


def test_a_unit_that_spans_layers_has_the_mean_of_their_values():
    found = per_unit([layer([0, 1], [1, 4]), layer([1, 2], [1, 1])], 3)
    np.testing.assert_allclose(found.values, [0.5, (2 + 1) / 2, 1])


def test_a_unit_that_stands_twice_in_a_layer_has_the_mean_of_both():
    found = per_unit([layer([0, 0, 1, 1], [1, 4, 2, 2])], 2)
    np.testing.assert_allclose(found.values, [1.25, 1])


def test_an_unmeasured_unit_has_the_mean_and_is_marked():
    found = per_unit([layer([0, 2], [1, 4])], 4)
    np.testing.assert_allclose(found.values, [0.5, 1, 2, 1])
    assert found.measured.tolist() == [True, False, True, False]


def test_channels_without_a_unit_do_not_count_in_the_mean():
    found = per_unit([layer([0, -1, 1], [1, 100, 4])], 2)
    np.testing.assert_allclose(found.values, [0.5, 2])


def test_a_layer_without_units_is_passed_over():
    found = per_unit([layer([-1, -1], [1, 2])], 1)
    assert found.values.tolist() == [1]
    assert not found.measured.any()


def test_a_layer_of_zeros_gives_zeros():
    found = per_unit([layer([0, 1], [0, 0])], 2)
    assert found.values.tolist() == [0, 0]
    assert found.measured.all()


def test_dead_channels_stay_zero_and_count_as_a_hundredth_of_the_mean():
    found = per_unit([layer([0, 1], [0, 2])], 2)
    np.testing.assert_allclose(found.values, [0, 2 / np.sqrt(2 * 0.01)])


def test_a_channel_stands_out_of_its_layer_whatever_the_strongest_ones_do():
    """Two layers whose channels are alike, but for one that is far stronger in one of them."""
    found = per_unit([layer([0, 1, 2, 3], [1, 1, 1, 1]), layer([4, 5, 6, 7], [1, 1, 1, 50])], 8)
    assert found.values[4] > 0.3 * found.values[0]
    assert found.values[7] == found.values.max()


def test_no_layer_leaves_every_unit_unmeasured():
    found = per_unit([], 2)
    assert found.values.tolist() == [1, 1]
    assert not found.measured.any()


@given(
    values=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20),
    factor=st.floats(1e-6, 1e6),
)
def test_scaling_a_layer_changes_nothing(values, factor):
    units = list(range(len(values)))
    one = per_unit([layer(units, values)], len(values))
    other = per_unit([layer(units, np.array(values) * factor)], len(values))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    assert (one.values > 0).all()
