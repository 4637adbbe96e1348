"""Processes in turns: which are started when, and how rounds and seconds are divided."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from wrg_onnx.errors import DataError, UsageError
from wrg_onnx.latency import Timing, compare
from wrg_onnx.latency.fresh import measure, time_fresh


class Machine:
    """Stands in for processes: knows which live, and how long their runs take."""

    def __init__(self, peaks=(1,)):
        self.alive = []
        self.started = []
        self.turns = []
        self.most_alive = 0
        self.peaks = peaks

    @contextmanager
    def start(self, task):
        machine = self
        number = len(self.started)

        class Running:
            def run(self, times):
                machine.turns.append(task.label)
                return [(1 if task.label == "a" else 2) * 1_000_000] * times

            def peak_bytes(self):
                return machine.peaks[number % len(machine.peaks)]

        self.started.append(task.label)
        self.alive.append(task.label)
        self.most_alive = max(self.most_alive, len(self.alive))
        try:
            yield Running()
        finally:
            self.alive.remove(task.label)


class Late:
    """Stands in for the time module: each look at the clock is a second later."""

    def __init__(self):
        self.now_s = 0

    def monotonic(self):
        self.now_s += 1
        return self.now_s

    def perf_counter_ns(self):
        return self.monotonic() * 10**9


@pytest.fixture
def late(monkeypatch):
    clock = Late()
    monkeypatch.setattr(measure, "time", clock)
    monkeypatch.setattr(compare, "time", clock)


@pytest.fixture
def tasks(task):
    return [replace(task, label=label) for label in "ab"]


def rng():
    return np.random.default_rng(0)


def test_each_repeat_starts_a_process_of_each_model_and_ends_it(tasks):
    machine = Machine()
    found = time_fresh(tasks, Timing(warmup=0, rounds=9), rng(), processes=4, start=machine.start)
    assert sorted(machine.started) == ["a"] * 4 + ["b"] * 4
    assert [sorted(machine.started[n : n + 2]) for n in (0, 2, 4, 6)] == [["a", "b"]] * 4
    assert (machine.most_alive, machine.alive) == (2, [])
    assert [len(times) for times in found["a"].times.processes] == [3, 2, 2, 2]
    assert (found["a"].times.latency.median_ms, found["b"].times.latency.median_ms) == (1.0, 2.0)
    assert list(found) == ["a", "b"]


def test_models_take_turns_in_changing_order(tasks):
    machine = Machine()
    time_fresh(tasks, Timing(warmup=0, rounds=40), rng(), processes=2, start=machine.start)
    orders = {"".join(machine.turns[n : n + 2]) for n in range(0, 80, 2)}
    assert orders == {"ab", "ba"}


def test_there_are_no_more_processes_than_rounds(tasks):
    machine = Machine()
    time_fresh(tasks, Timing(warmup=0, rounds=2), rng(), processes=5, start=machine.start)
    assert len(machine.started) == 4


@pytest.mark.usefixtures("late")
def test_every_process_makes_a_turn_whatever_the_budget(tasks):
    machine = Machine()
    timing = Timing(warmup=0, rounds=100, budget_s=0.1)
    found = time_fresh(tasks, timing, rng(), processes=5, start=machine.start)
    assert [len(times) for times in found["a"].times.processes] == [1] * 5


@pytest.mark.usefixtures("late")
def test_a_single_process_makes_five_turns_whatever_the_budget(tasks):
    timing = Timing(warmup=0, rounds=100, budget_s=0.1)
    found = time_fresh(tasks, timing, rng(), processes=1, start=Machine().start)
    assert found["a"].times.processes[0].shape == (5, 1)


def test_fast_models_run_several_times_in_a_turn(tasks):
    found = time_fresh(tasks, Timing(1, 5), rng(), processes=5, start=Machine().start)
    assert found["a"].times.latency.runs == 25


@pytest.mark.parametrize(
    ("peaks", "expected"), [((5, 5, 1, 1, 9, 9), 5), ((None, 4), 4), ((None,), None)]
)
def test_the_peak_is_the_median_of_those_that_are_known(task, peaks, expected):
    machine = Machine(peaks)
    timing = Timing(warmup=0, rounds=6)
    found = time_fresh([task], timing, rng(), processes=6, start=machine.start)
    assert found["m.onnx"].peak_bytes == expected


@pytest.mark.usefixtures("late")
def test_the_seconds_are_those_of_all_processes_together(tasks):
    timing = Timing(warmup=0, rounds=1000, budget_s=60)
    found = time_fresh(tasks, timing, rng(), processes=3, start=Machine().start)
    turns = [len(times) for times in found["a"].times.processes]
    assert 45 <= sum(turns) <= 60
    assert max(turns) - min(turns) <= 3


def test_a_failure_ends_all_processes(tasks):
    machine = Machine()

    @contextmanager
    def start(task):
        with machine.start(task) as running:
            if len(machine.started) == 3:
                raise DataError("no")
            yield running

    with pytest.raises(DataError):
        time_fresh(tasks, Timing(warmup=0, rounds=9), rng(), processes=3, start=start)
    assert machine.alive == []


def test_no_process_is_a_usage_error(tasks):
    with pytest.raises(UsageError, match="processes must be at least 1, got 0"):
        time_fresh(tasks, Timing(), rng(), processes=0)


def test_real_processes_are_started_by_default(task):
    found = time_fresh([task], Timing(1, 2), rng(), processes=2)
    assert len(found["m.onnx"].times.processes) == 2
    assert measure.PROCESSES >= 3
