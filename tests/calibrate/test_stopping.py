"""Which factor needs no further image, and after how many the certainty is asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from wrg_onnx.calibrate.probes import StoredProbe
from wrg_onnx.calibrate.stopping import EARLIEST, GROWTH, next_look, spared
from wrg_onnx.factors import ACTIVATION, GRADIENT, RANK

MAPS = (ACTIVATION, RANK)


def probe(*factors):
    return StoredProbe(make=pytest.fail, factors=factors, block=1, store=None)


RANKS, GRADIENTS = probe(*MAPS), probe(GRADIENT)
BOTH = (GRADIENTS, RANKS)


def sure(ranks, gradients):
    return {MAPS: ranks, (GRADIENT,): gradients}.__getitem__


def looks(total, least, *, several):
    found = [0]
    while found[-1] < total:
        found.append(next_look(found[-1], least, several=several))
    return found[1:]


def test_the_first_look_is_early_if_a_factor_could_stop_there():
    assert looks(60, 16, several=False) == [16, 20, 25, 32, 40, 50, 63]
    assert looks(60, 16, several=True) == [EARLIEST, 16, 20, 25, 32, 40, 50, 63]
    assert looks(5, 2, several=True) == [2, 3, 4, 5]
    assert all(b <= max(16, a * GROWTH + 1) for a, b in pairwise(looks(9999, 16, several=True)))


def test_ranks_stop_where_gradients_leave_more_open_in_the_end():
    # Of .20 after a quarter of the images .10 are left after all; half of that may come from ranks.
    assert spared(BOTH, sure(0.951, 0.80), share=1 / 4, enough=0.98) is RANKS
    assert spared(BOTH, sure(0.949, 0.80), share=1 / 4, enough=0.98) is None
    # The nearer the end, the more may.
    assert spared(BOTH, sure(0.949, 0.80), share=1 / 2, enough=0.98) is RANKS


def test_gradients_stop_where_ranks_leave_more_open():
    assert spared(BOTH, sure(0.70, 0.99), share=1 / 4, enough=0.98) is GRADIENTS


def test_half_of_what_is_allowed_is_always_little_enough():
    assert spared(BOTH, sure(0.95, 0.95), share=1 / 4, enough=0.98) is None
    assert spared(BOTH, sure(0.9501, 0.9501), share=1 / 4, enough=0.9) is not None


def test_one_goes_on():
    assert spared((RANKS,), sure(1.0, 1.0), share=1 / 4, enough=0.98) is None
    assert spared(BOTH, sure(1.0, 1.0), share=1 / 4, enough=0.98) in BOTH


def test_a_certainty_of_1_asks_for_all_images_of_each():
    assert spared(BOTH, sure(1.0, 0.5), share=1 / 4, enough=1.0) is None
