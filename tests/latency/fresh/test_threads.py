"""With how many threads models are timed."""

from __future__ import annotations

import os

import pytest

from wrg_onnx.errors import UsageError
from wrg_onnx.latency.fresh import check_threads, threads


@pytest.fixture
def four(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    return tmp_path


def siblings(folder, *lists):
    for number, text in enumerate(lists):
        path = folder / f"cpu{number}" / "topology"
        path.mkdir(parents=True)
        (path / "thread_siblings_list").write_text(f"{text}\n")


def test_hardware_threads_of_one_core_count_once(four):
    siblings(four, "0,2", "1,3", "0,2", "1,3")
    assert threads.physical_cores(four) == 2


def test_cores_that_a_process_may_not_run_on_do_not_count(four, monkeypatch):
    siblings(four, "0", "1", "2", "3")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3}, raising=False)
    assert threads.physical_cores(four) == 2
    assert threads.processors() == (1, 3)


def test_where_the_system_does_not_tell_each_hardware_thread_counts(four):
    assert threads.physical_cores(four) == 4


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("wrong", [0, -1, 5])
def test_threads_that_cannot_run_side_by_side_are_refused(wrong):
    with pytest.raises(UsageError, match=f"threads must be in 1 to 4, .* got {wrong}"):
        check_threads(wrong)


@pytest.mark.usefixtures("four")
def test_as_many_as_may_run_are_allowed():
    assert (check_threads(1), check_threads(4)) == (1, 4)


def test_without_a_number_each_core_has_one():
    assert check_threads(None) == threads.physical_cores() >= 1
