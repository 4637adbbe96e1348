"""Which numbers of channels kernels like: read from times, with noise."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx import progress
from wrg_onnx.choices import Provider
from wrg_onnx.errors import UsageError
from wrg_onnx.latency import ChannelSteps, measure_steps, steps
from wrg_onnx.latency.steps import find_block, find_fine

COUNTS = np.arange(1, 65)


def noisy(times, seed=0, by=0.02):
    return (times * (1 + by * np.random.default_rng(seed).standard_normal(len(times)))).tolist()


@pytest.mark.parametrize("block", [8, 16])
@pytest.mark.parametrize("seed", range(5))
def test_a_time_that_rises_in_blocks_tells_their_size(block, seed):
    assert find_block(noisy(40 + np.ceil(COUNTS / block) * block, seed)) == block


def test_where_each_channel_counts_there_is_no_block_to_speak_of():
    assert find_block(noisy(COUNTS * 10.0, by=0.01)) <= 4


@pytest.mark.parametrize("seed", range(5))
def test_counts_that_leave_the_fast_layout_tell_what_it_takes(seed):
    whole = 40 + np.ceil(COUNTS / 16) * 16
    assert find_fine(noisy(np.where(COUNTS % 4, 1.4 * whole, whole), seed), 16) == 4


def test_where_each_count_is_as_good_as_a_block_any_is_fine():
    assert find_fine(noisy(40 + np.ceil(COUNTS / 16) * 16), 16) == 1


def test_lengths_count_as_whole_blocks_and_outside_the_fast_layout_apart():
    found = ChannelSteps(8, 4)
    assert found.inside(10).tolist() == [0, 8, 8, 8, 8, 8, 8, 8, 8, 16, 16]
    assert found.outside(10).tolist() == [0, 8, 8, 8, 0, 8, 8, 8, 0, 16, 16]


def test_steps_are_at_least_one():
    with pytest.raises(UsageError, match="at least 1"):
        ChannelSteps(0, 1)


def test_kernels_are_counted_and_timed_once_in_a_process(monkeypatch):
    monkeypatch.setattr(steps, "_MEASURED", {})
    monkeypatch.setattr(steps, "ROUNDS", 2)
    monkeypatch.setattr(progress, "OFTEN_S", 0)
    told = []
    found = measure_steps(Provider.CPU, lambda *all_: told.append(all_))
    kernels = 2 * 2 * steps.WIDEST
    assert told == [("kernels", done, kernels) for done in range(1, kernels + 1)]
    assert measure_steps(Provider.CPU, lambda *all_: told.append(all_)) is found
    assert len(told) == kernels


def test_this_machine_has_steps_that_divide_each_other():
    found = measure_steps(Provider.CPU)
    assert found.block in (1, 2, 4, 8, 16, 32)
    assert found.block % found.fine == 0
