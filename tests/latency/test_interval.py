"""How sure a ratio is, on times that the test makes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wrg_onnx.latency import Noise, Ratio, Times, compare_medians, find_noise


def rng(seed=0):
    return np.random.default_rng(seed)


def draw(faster, processes, turns, rng, *, own=0.03, spikes=0.05):
    """Draw times of two models on a machine whose mood both feel; each process has a speed."""
    pairs = []
    for _ in range(processes):
        mood = np.exp(np.cumsum(rng.standard_normal(turns)) * 0.01) * (1 + rng.random())
        pair = []
        for ms in (1.0, 1.0 / faster):
            times = ms * mood * (1 + own * rng.standard_normal())
            times *= 1 + 0.05 * np.abs(rng.standard_normal(turns))
            times[rng.random(turns) < spikes] *= 5
            pair.append(times[:, None])
        pairs.append(pair)
    first, other = zip(*pairs, strict=True)
    return Times(first), Times(other)


@pytest.mark.parametrize(
    ("processes", "turns", "own"), [(5, 10, 0.03), (3, 17, 0.03), (1, 50, 0.0), (5, 1, 0.03)]
)
def test_models_that_are_alike_are_seldom_told_apart(processes, turns, own):
    draws = rng(1)
    found = [
        compare_medians(*draw(1.0, processes, turns, draws, own=own), draws) for _ in range(120)
    ]
    assert np.mean([ratio.is_beyond_noise for ratio in found]) <= 0.07


def test_what_is_truly_faster_is_found_and_its_ratio_is_held():
    draws = rng(2)
    found = [compare_medians(*draw(1.5, 5, 10, draws), draws) for _ in range(100)]
    assert np.mean([ratio.is_beyond_noise and ratio.low > 1 for ratio in found]) >= 0.95
    assert np.mean([ratio.low <= 1.5 <= ratio.high for ratio in found]) >= 0.93


def test_the_ratio_is_that_of_the_medians_that_are_shown():
    first, other = draw(1.3, 4, 6, rng(3))
    ratio = compare_medians(first, other, rng())
    assert ratio.value == first.latency.median_ms / other.latency.median_ms
    assert ratio.low < ratio.value < ratio.high


def test_the_same_seed_gives_the_same_interval():
    times = draw(1.1, 4, 6, rng(4))
    assert compare_medians(*times, rng(5)) == compare_medians(*times, rng(5))


def test_a_process_that_the_machine_left_standing_widens_no_interval_beyond_use():
    draws = rng(6)
    first, other = draw(1.5, 5, 10, draws)
    stood = Times((*other.processes[:4], other.processes[4] * 1000))
    assert compare_medians(first, stood, draws).low > 1


def test_processes_may_have_made_different_numbers_of_turns():
    draws = rng(7)
    long, short = draw(1.5, 3, 10, draws), draw(1.5, 1, 2, draws)
    first, other = (Times((*a.processes, *b.processes)) for a, b in zip(long, short, strict=True))
    assert compare_medians(first, other, draws).low > 1


def test_the_mood_of_the_machine_cancels():
    mood = np.linspace(1, 100, 30)[:, None]
    ratio = compare_medians(Times((2 * mood,)), Times((mood,)), rng())
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))


def test_a_single_turn_tells_nothing():
    once = Times((np.array([[1.0]]),))
    ratio = compare_medians(once, once, rng())
    assert (ratio.value, ratio.low, ratio.high) == (1.0, 0.0, math.inf)
    assert not ratio.is_known
    assert not ratio.is_beyond_noise


def test_an_interval_that_touches_1_claims_nothing():
    assert not Ratio(1.1, 1.0, 1.2).is_beyond_noise
    assert Ratio(1.1, 1.01, 1.2).is_beyond_noise
    assert Ratio(0.9, 0.8, 0.99).is_beyond_noise


def test_noise_is_told_by_processes_and_by_the_slowest_calls():
    quiet = Times((np.full((10, 1), 1.0), np.full((10, 1), 1.05)))
    assert find_noise(quiet) == Noise(spread=1.05, tail=pytest.approx(1.05 / 1.025))
    assert not find_noise(quiet).is_much
    assert find_noise(Times((np.ones((5, 1)), np.full((5, 1), 1.2)))).is_much
    spiky = np.ones((20, 1))
    spiky[:3] = 4
    assert find_noise(Times((spiky,))) == Noise(spread=None, tail=4.0)
    assert find_noise(Times((spiky,))).is_much
