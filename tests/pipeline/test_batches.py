"""Which axes of inputs count samples, and what the inputs are at another batch."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.graph import Value
from wrg_onnx.pipeline.batches import batches_of


def value(name, *shape):
    return Value(name, np.dtype(np.float32), shape)


IMAGE = value("image", "batch", 3, "h", "w")
SHAPES = {"image": (1, 3, 32, 32)}


def at(inputs, shapes, wanted, given=None):
    return [(b.samples, b.shapes, b.note) for b in batches_of(inputs, shapes, given or {}, wanted)]


def test_nothing_asked_for_leaves_the_shapes():
    assert at([IMAGE], SHAPES, None) == [(1, SHAPES, "")]


def test_each_batch_is_made_once_in_order():
    found = at([IMAGE], SHAPES, (8, 1, 8))
    assert [samples for samples, _, _ in found] == [8, 1]
    assert found[0][1] == {"image": (8, 3, 32, 32)}


@pytest.mark.parametrize("first", [None, "anything"])
def test_an_open_first_axis_counts_samples(first):
    found = at([value("x", first, 4)], {"x": (1, 4)}, (3,))
    assert found == [(3, {"x": (3, 4)}, "")]


def test_inputs_of_one_symbol_change_together():
    inputs = [IMAGE, value("state", 2, "batch", 7), value("lengths", "batch")]
    shapes = {**SHAPES, "state": (2, 1, 7), "lengths": (1,)}
    ((_, found, _),) = at(inputs, shapes, (4,))
    assert found == {"image": (4, 3, 32, 32), "state": (2, 4, 7), "lengths": (4,)}


def test_a_row_of_numbers_is_no_row_of_samples():
    ((samples, found, note),) = at([value("sound", "length")], {"sound": (16,)}, (4,))
    assert (samples, found) == (1, {"sound": (16,)})
    assert "--batch 4 was not measured" in note


def test_a_fixed_batch_stays_and_says_so():
    ((samples, found, note),) = at([value("x", 2, 4)], {"x": (2, 4)}, (1, 2, 8))
    assert (samples, found) == (2, {"x": (2, 4)})
    assert note == "the batch of the inputs is fixed at 2, so that --batch 1 and 8 was not measured"


def test_a_fixed_batch_that_was_asked_for_needs_no_word():
    assert at([value("x", 2, 4)], {"x": (2, 4)}, (2,)) == [(2, {"x": (2, 4)}, "")]


def test_a_shape_that_the_user_gives_fixes_the_batch_of_its_symbol():
    inputs = [IMAGE, value("other", "batch", 5)]
    shapes = {"image": (4, 3, 32, 32), "other": (4, 5)}
    ((samples, found, note),) = at(inputs, shapes, (8,), given={"image": (4, 3, 32, 32)})
    assert (samples, found) == (4, shapes)
    assert "fixed at 4" in note
