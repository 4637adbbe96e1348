"""Arrays by name that are read when they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import normal

from wrg_onnx.graph import Derived, Weights, held
from wrg_onnx.graph.mapped import HeldBytes, Stored
from wrg_onnx.graph.weights import HELD_BYTES, aligned, blocks


def stored(array, *, odd=0):
    content = np.frombuffer(b"x" * odd + array.tobytes(), np.uint8)
    return Stored(HeldBytes(content), odd, array.dtype, array.shape)


def derived(array, calls):
    def make():
        calls.append(1)
        return array.copy()

    return Derived(array.shape, array.dtype, make)


def test_an_array_is_made_each_time_it_is_asked_for():
    calls = []
    weights = Weights({"a": normal(3), "d": derived(normal(2, 5), calls)})
    assert sorted(weights) == ["a", "d"]
    assert len(weights) == 2
    assert "d" in weights
    assert (weights.forms["d"].shape, weights.forms["d"].nbytes) == ((2, 5), 40)
    assert not calls
    np.testing.assert_array_equal(weights["d"], normal(2, 5))
    assert not weights["d"].flags.writeable
    assert len(calls) == 2
    assert repr(weights) == "Weights(a: float32 (3,), d: float32 (2, 5))"


def test_a_copy_has_other_arrays_and_the_first_keeps_its_own():
    first = Weights({"a": normal(3), "b": normal(4)})
    second = first.changed({"b": normal(5), "c": normal(6)})
    assert {name: len(array) for name, array in second.items()} == {"a": 3, "b": 5, "c": 6}
    assert {name: len(array) for name, array in first.items()} == {"a": 3, "b": 4}
    assert second.entries["a"] is first.entries["a"]


def test_small_arrays_are_held_and_large_ones_stay_where_they_are():
    small = stored(normal(100), odd=1)
    found = held(small)
    assert isinstance(found, np.ndarray)
    assert found.flags.aligned
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, normal(100))
    large = stored(np.zeros(HELD_BYTES, np.int8))
    assert held(large) is large
    array = normal(3)
    assert held(array) is array


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_blocks_are_all_rows_in_order(size):
    array = normal(37, 5)
    for entry in (array, stored(array, odd=3), derived(array, [])):
        parts = [(rows, block.copy()) for rows, block in blocks(entry, size)]
        np.testing.assert_array_equal(np.concatenate([block for _, block in parts]), array)
        assert [rows.start for rows, _ in parts] == [0, *(rows.stop for rows, _ in parts[:-1])]


@pytest.mark.parametrize("shape", [(0,), (4, 6)])
@pytest.mark.parametrize("odd", [0, 1])
def test_an_array_for_other_libraries_is_aligned(shape, odd):
    array = np.asarray(normal(*shape))
    for entry in (array, stored(array, odd=odd)):
        found = aligned(entry)
        assert found.flags.aligned
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, array)
    turned = aligned(normal(4, 6).T)
    assert turned.flags.c_contiguous
