"""Parts of a stage are counted, and told of no more often than anybody reads."""

from __future__ import annotations

import itertools

import pytest

from wrg_onnx import progress
from wrg_onnx.progress import Counter


@pytest.fixture
def told(monkeypatch):
    """What is told while a hundredth of a second passes between two looks at the clock."""
    ticks = itertools.count()
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks) / 100)
    return []


def test_a_counter_tells_ten_times_a_second_and_of_the_last_part(told):
    counter = Counter(lambda *all_: told.append(all_), "stage", 25)
    for _ in range(25):
        counter.add()
    assert told == [("stage", 10, 25), ("stage", 20, 25), ("stage", 25, 25)]


def test_there_may_be_more_parts_than_was_known(told):
    counter = Counter(lambda *all_: told.append(all_), "stage", 1)
    counter.add()
    counter.total += 1
    counter.add()
    assert told == [("stage", 1, 1), ("stage", 2, 2)]
