"""Processes: who sees which GPU, and whose word counts."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.data.workers import Alone, backend_for, join_workers, of_first, take_own_gpu


@pytest.mark.parametrize(
    ("place", "visible", "count", "shown"),
    [(0, None, 2, "0"), (1, None, 2, "1"), (3, None, 2, "1"), (1, "4,7", 2, "7"),
     (2, "4,7", 2, "4"), (1, None, 0, None), (1, "", 0, "")],
)  # fmt: skip
def test_each_process_sees_one_gpu_of_those_that_are_there(place, visible, count, shown):
    environment = {"LOCAL_RANK": str(place)}
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    take_own_gpu(environment, count)
    assert environment.get("CUDA_VISIBLE_DEVICES") == shown


def test_without_torchrun_a_process_is_alone():
    with join_workers({}) as workers:
        assert (workers.index, workers.count) == (0, 1)
        assert workers.total(np.arange(3.0)).tolist() == [0, 1, 2]


def test_the_first_process_has_the_word():
    class Second(Alone):
        index, count = 1, 2

        def total(self, array):
            return array + 0.25  # what the first one says

    assert of_first(0.75, Second()) == 0.25
    assert of_first(0.75, Alone()) == 0.75


@pytest.mark.parametrize(
    ("processes", "gpus", "has_nccl", "backend"),
    [
        (2, 0, False, "gloo"),
        (2, 0, True, "gloo"),
        (2, 1, True, "gloo"),
        (2, 2, True, "cpu:gloo,cuda:nccl"),
        (2, 4, False, "gloo"),
    ],
)
def test_gpus_talk_over_nccl_where_each_process_has_one(processes, gpus, has_nccl, backend):
    environment = {"LOCAL_WORLD_SIZE": str(processes)}
    assert backend_for(environment, gpus, has_nccl=has_nccl) == backend
