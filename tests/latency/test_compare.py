"""Interleaved timing, with a clock that the test winds."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.errors import UsageError
from wrg_onnx.latency import compare
from wrg_onnx.latency.compare import take_turns, timed


class Clock:
    """Stands in for the time module; a runner moves it."""

    def __init__(self):
        self.now_ns = 0
        self.calls = []

    def perf_counter_ns(self):
        return self.now_ns

    def runner(self, name, times_ms):
        times = iter(times_ms)

        def call():
            self.calls.append(name)
            self.now_ns += int(next(times) * 1e6)

        return timed(call)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(compare, "time", clock)
    return clock


def rng():
    return np.random.default_rng(0)


def test_warm_up_calls_are_not_counted(clock):
    runners = {"a": clock.runner("a", [100, 100, *range(1, 11)])}
    result = take_turns(runners, warmup=2, rounds=10, rng=rng())
    assert result["a"].tolist() == [[float(time)] for time in range(1, 11)]


def test_rounds_are_interleaved_in_changing_order(clock):
    runners = {name: clock.runner(name, [1] * 40) for name in "ab"}
    result = take_turns(runners, warmup=0, rounds=40, rng=rng())
    rounds = ["".join(clock.calls[i : i + 2]) for i in range(0, 80, 2)]
    assert set(rounds) == {"ab", "ba"}
    assert list(result) == ["a", "b"]
    assert [times.shape for times in result.values()] == [(40, 1), (40, 1)]


def test_the_budget_ends_the_rounds(clock):
    runners = {name: clock.runner(name, [100] * 100) for name in "ab"}
    result = take_turns(runners, warmup=0, rounds=100, rng=rng(), budget_s=2)
    assert {len(times) for times in result.values()} == {11}


def test_the_budget_ends_the_warm_up_behind_its_first_call(clock):
    runners = {"a": clock.runner("a", [1000] * 10)}
    take_turns(runners, warmup=5, rounds=1, rng=rng(), budget_s=0.5)
    assert len(clock.calls) == 2


def test_five_rounds_run_whatever_the_budget(clock):
    runners = {name: clock.runner(name, [1000] * 10) for name in "ab"}
    result = take_turns(runners, warmup=1, rounds=100, rng=rng(), budget_s=0.1)
    assert {len(times) for times in result.values()} == {5}


def test_fewer_rounds_run_whatever_the_budget_where_that_is_said(clock):
    runners = {"a": clock.runner("a", [1000] * 10)}
    result = take_turns(runners, warmup=1, rounds=100, rng=rng(), budget_s=0.1, fewest=1)
    assert result["a"].shape == (1, 1)


def test_fewer_rounds_can_be_asked_for(clock):
    result = take_turns({"a": clock.runner("a", [3])}, warmup=0, rounds=1, rng=rng())
    assert result["a"].tolist() == [[3.0]]


def test_a_turn_holds_as_many_calls_as_the_slowest_makes_in_10_ms_behind_one_that_is_idle(clock):
    runners = {"a": clock.runner("a", [1] * 99), "b": clock.runner("b", [3, *range(98)])}
    result = take_turns(runners, warmup=1, rounds=2, rng=rng(), most_calls=10)
    assert result["a"].shape == result["b"].shape == (2, 3)
    assert result["b"].tolist() == [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]


def test_a_turn_holds_no_more_calls_than_allowed(clock):
    runners = {"a": clock.runner("a", [0.001] * 99)}
    assert take_turns(runners, warmup=1, rounds=1, rng=rng(), most_calls=4)["a"].shape == (1, 4)


def test_slow_models_make_one_call_in_a_turn_and_none_before_it(clock):
    runners = {"a": clock.runner("a", [100] * 4)}
    take_turns(runners, warmup=1, rounds=3, rng=rng(), most_calls=10)
    assert len(clock.calls) == 4


def test_real_calls_take_time():
    result = take_turns({"a": timed(lambda: sum(range(1000)))}, warmup=1, rounds=5, rng=rng())
    assert ((result["a"] > 0) & (result["a"] < 1000)).all()


@pytest.mark.parametrize(
    ("runners", "options"),
    [
        ({}, {}),
        ({"a": timed(int)}, {"rounds": 0}),
        ({"a": timed(int)}, {"warmup": -1}),
        ({"a": timed(int)}, {"budget_s": 0}),
    ],
)
def test_nothing_to_time_is_a_usage_error(runners, options):
    with pytest.raises(UsageError):
        take_turns(runners, rng=rng(), **options)
