"""Places are drawn as asked: half of them on the object, at every resolution."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.recover.places import draw_places, object_places

SALIENCY = np.zeros((32, 32), np.float32)
SALIENCY[8:10, 20:23] = 0.9
SHAPE = (1, 32, 32)


def draw(wanted, share, objects=None, seed=0):
    objects = object_places(SALIENCY, 0.3, SHAPE) if objects is None else objects
    return draw_places(SHAPE, wanted, objects, share, np.random.default_rng(seed))


def test_a_share_lies_on_the_object_as_far_as_it_reaches():
    on = set(object_places(SALIENCY, 0.3, SHAPE).tolist())
    assert len(on) == 6
    for wanted, least in ((8, 4), (40, 6)):
        places = draw(wanted, 0.5)
        assert len(places) == wanted
        assert sum(place in on for place in places.tolist()) >= least
    assert sum(place in on for place in draw(40, 0.0).tolist()) <= 2


def test_all_places_are_all_places_once_where_there_is_no_object():
    none = np.zeros(0, np.int64)
    np.testing.assert_array_equal(draw(10**6, 0.5, none), np.arange(1024))


def test_places_depend_on_the_seed_alone():
    np.testing.assert_array_equal(draw(40, 0.5), draw(40, 0.5))
    assert not np.array_equal(draw(40, 0.5), draw(40, 0.5, seed=1))


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((1, 4, 4), [6]), ((1, 1, 1), [0]), ((1, 16, 16), [74, 75]), ((1, 64, 64), None)],
)
def test_the_object_is_seen_at_every_resolution(shape, wanted):
    found = object_places(SALIENCY, 0.3, shape)
    assert found.tolist() == wanted if wanted else len(found) == 24


@pytest.mark.parametrize("shape", [(1, 197), (2, 8, 8), (5,), (1, 4, 4, 4)])
def test_rows_that_are_no_map_of_one_image_see_no_object(shape):
    assert not len(object_places(SALIENCY, 0.3, shape))
