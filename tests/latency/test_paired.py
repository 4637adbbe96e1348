"""What a cut model takes over what the original does, in processes in which calls are disturbed."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from wrg_onnx.choices import Provider
from wrg_onnx.graph import load
from wrg_onnx.latency import paired_latency

MS = 1_000_000


@pytest.fixture
def graph(write_model, tmp_path):
    return load(write_model(tmp_path / "m.onnx"))


def measured(graph, times):
    """Measure with processes whose calls take what ``times`` says of a label and a number."""
    started = []

    @contextmanager
    def start(task):
        assert task.model.stat().st_size
        assert task.feeds.stat().st_size
        number = sum(label == task.label for label in started)
        started.append(task.label)

        class Running:
            def run(self, calls):
                return [round(times(task.label, number) * MS) for _ in range(calls)]

            def peak_bytes(self):
                return None

        yield Running()

    feeds = {"image": np.zeros((1, 16, 8, 8), np.float32)}
    rng = np.random.default_rng(0)
    return paired_latency(graph, graph, feeds, Provider.CPU, rng, start=start), started


def test_it_is_the_quotient_of_undisturbed_calls(graph):
    rng = np.random.default_rng(0)

    def times(label, _):
        is_cut = label.endswith(", cut")
        disturbed = rng.random() < (0.1 if is_cut else 0.6)  # the longer one more often
        return (40.0 if is_cut else 100.0) * (5 if disturbed else 1)

    (share, noises), started = measured(graph, times)
    assert share == pytest.approx(0.4)
    assert any(noise.is_much for noise in noises)
    assert len(started) == 10
    assert len({*started}) == 2


def test_a_slow_process_of_five_weighs_a_fifth(graph):
    def times(label, number):
        return 60.0 if not label.endswith(", cut") else 30.0 * (1.32 if number == 2 else 1.0)

    (share, (original, cut)), _ = measured(graph, times)
    assert share == pytest.approx(0.5 * 1.32**0.2)
    assert original.spread == pytest.approx(1.0)
    assert cut.spread == pytest.approx(1.32)


def test_calls_that_take_the_same_are_no_noise(graph):
    (share, noises), _ = measured(graph, lambda label, _: 6.0 if label.endswith("cut") else 8.0)
    assert share == pytest.approx(0.75)
    assert not any(noise.is_much for noise in noises)


def test_it_runs_in_real_processes(graph):
    feeds = {"image": np.zeros((1, 16, 8, 8), np.float32)}
    rng = np.random.default_rng(0)
    share, noises = paired_latency(graph, graph, feeds, Provider.CPU, rng)
    assert 0.2 < share < 5
    assert all(noise.spread for noise in noises)
