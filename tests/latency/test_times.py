"""What is told of calls in turns in processes."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.errors import UsageError
from wrg_onnx.latency import Latency, Times


def test_a_turn_counts_by_the_median_of_its_calls():
    times = Times((np.array([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]]), np.array([[6.0, 6.0, 6.0]])))
    assert [turns.tolist() for turns in times.turn_medians_ms] == [[2.0, 4.0], [6.0]]
    assert times.process_medians_ms == (3.0, 6.0)
    assert times.latency.median_ms == 4.0
    assert times.latency.mean_ms == pytest.approx(42 / 9)
    assert times.latency.runs == 9
    assert times.latency.p95_ms == pytest.approx(7.8)


def test_times_do_not_change():
    times = Times((np.ones((2, 1)),))
    with pytest.raises(ValueError, match="read-only"):
        times.processes[0][0] = 2


def test_a_latency_without_a_run_is_none():
    with pytest.raises(UsageError, match="at least 1 run"):
        Latency(1.0, 1.0, 1.0, 0)
