"""What one model takes over another, of turns in which some calls were disturbed."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.latency import paired, paired_latency


class Session:
    def __init__(self):
        self.fed = []

    def run(self, feeds):
        self.fed.append(feeds)


@pytest.fixture
def turns(monkeypatch):
    """Let turns have taken what a test says."""
    held = {}

    def take_turns(runners, **_):
        for runner in runners.values():
            assert len(runner(2)) == 2
        return {name: np.array(held[name], float) for name in runners}

    monkeypatch.setattr(paired, "take_turns", take_turns)
    return held


def test_it_is_the_quotient_of_undisturbed_calls(turns):
    rng = np.random.default_rng(0)
    calm, busy = np.full((40, 2), 10.0), np.full((40, 2), 4.0)
    calm[rng.random(calm.shape) < 0.6] *= 5  # the longer one is disturbed more often
    busy[rng.random(busy.shape) < 0.1] *= 5
    turns.update(original=calm, other=busy)
    first, second = Session(), Session()
    share, noise = paired_latency(first, second, {"x": np.zeros(1)}, rng)
    assert share == pytest.approx(0.4)
    assert noise.is_much
    assert len(first.fed) == len(second.fed) == 2


def test_calls_that_take_the_same_are_no_noise(turns):
    turns.update(original=np.full((10, 3), 8.0), other=np.full((10, 3), 6.0))
    share, noise = paired_latency(Session(), Session(), {}, np.random.default_rng(0))
    assert share == pytest.approx(0.75)
    assert not noise.is_much
