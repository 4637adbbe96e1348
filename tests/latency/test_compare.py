"""Interleaved timing, with a clock that the test winds."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.errors import UsageError
from wrg_onnx.latency import Latency, compare, compare_latency


class Clock:
    """Stands in for the time module; a runner moves it."""

    def __init__(self):
        self.now_ns = 0
        self.calls = []

    def perf_counter_ns(self):
        return self.now_ns

    def runner(self, name, times_ms):
        times = iter(times_ms)

        def run():
            self.calls.append(name)
            self.now_ns += int(next(times) * 1e6)

        return run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(compare, "time", clock)
    return clock


def rng():
    return np.random.default_rng(0)


def test_warm_up_calls_are_not_counted(clock):
    runners = {"a": clock.runner("a", [100, 100, *range(1, 11)])}
    result = compare_latency(runners, warmup=2, rounds=10, rng=rng())
    assert (result["a"].median_ms, result["a"].mean_ms, result["a"].runs) == (5.5, 5.5, 10)
    assert result["a"].p95_ms == pytest.approx(9.55)


def test_rounds_are_interleaved_in_changing_order(clock):
    runners = {name: clock.runner(name, [1] * 40) for name in "ab"}
    result = compare_latency(runners, warmup=0, rounds=40, rng=rng())
    rounds = ["".join(clock.calls[i : i + 2]) for i in range(0, 80, 2)]
    assert set(rounds) == {"ab", "ba"}
    assert list(result) == ["a", "b"]
    assert [value.runs for value in result.values()] == [40, 40]


def test_the_budget_ends_the_rounds(clock):
    runners = {name: clock.runner(name, [100] * 100) for name in "ab"}
    result = compare_latency(runners, warmup=0, rounds=100, rng=rng(), budget_s=2)
    assert {value.runs for value in result.values()} == {11}


def test_five_rounds_run_whatever_the_budget(clock):
    runners = {name: clock.runner(name, [1000] * 10) for name in "ab"}
    result = compare_latency(runners, warmup=1, rounds=100, rng=rng(), budget_s=0.1)
    assert {value.runs for value in result.values()} == {5}


def test_fewer_rounds_can_be_asked_for(clock):
    result = compare_latency({"a": clock.runner("a", [3])}, warmup=0, rounds=1, rng=rng())
    assert result["a"] == Latency(3, 3, 3, 1)


def test_real_calls_take_time():
    result = compare_latency({"a": lambda: sum(range(1000))}, warmup=1, rounds=5, rng=rng())
    assert 0 < result["a"].median_ms <= result["a"].p95_ms < 1000


@pytest.mark.parametrize(
    ("runners", "options"),
    [
        ({}, {}),
        ({"a": int}, {"rounds": 0}),
        ({"a": int}, {"warmup": -1}),
        ({"a": int}, {"budget_s": 0}),
    ],
)
def test_nothing_to_time_is_a_usage_error(runners, options):
    with pytest.raises(UsageError):
        compare_latency(runners, rng=rng(), **options)
