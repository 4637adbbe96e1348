"""Samples run side by side, in order, and on one thread each."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.errors import DataError
from wrg_onnx.graph import from_proto, open_session, run_side_by_side, side_by_side

TEXT = "net (float[N,8,12,12] x) => (float[N,7,10,10] y) { a = Conv(x, w)  y = Relu(a) }"


@pytest.fixture
def session():
    graph = from_proto(build(TEXT, {"w": normal(7, 8, 3, 3)}), name="m")
    return open_session(graph, one_thread=True)


@pytest.fixture(params=[1, 2, 5])
def cores(request, monkeypatch):
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: request.param)
    return request.param


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("count", [0, 1, 2, 9])
@pytest.mark.parametrize("ahead_bytes", [0, 1 << 30])
def test_results_come_in_the_order_of_the_samples(session, count, ahead_bytes):
    samples = [{"x": normal(1, 8, 12, 12, seed=n)} for n in range(count)]
    found = [*run_side_by_side(session, iter(samples), ahead_bytes=ahead_bytes)]
    assert len(found) == count
    for (one, _), sample in zip(found, samples, strict=True):
        assert one is sample
    for one, made in found:
        np.testing.assert_array_equal(made["y"], session.run(one)["y"])


@pytest.mark.usefixtures("cores")
def test_no_more_wait_than_fit(session):
    asked, looked_at = [], []

    def samples():
        for number in range(12):
            asked.append(number)
            yield {"x": normal(1, 8, 12, 12, seed=number)}

    size = 4 * 7 * 10 * 10
    for _ in run_side_by_side(session, samples(), ahead_bytes=2 * size):
        looked_at.append(len(asked) - len(looked_at))
    assert max(looked_at) <= 3


def test_one_at_a_time_never_overlaps(session, cores):
    running, most = [], []
    inner = session.engine

    class Engine:
        def run(self, *args):
            running.append(threading.get_ident())
            most.append(len(running))
            try:
                return inner.run(*args)
            finally:
                running.pop()

        def get_providers(self):
            return inner.get_providers()

    object.__setattr__(session, "engine", Engine())
    samples = ({"x": normal(1, 8, 12, 12, seed=n)} for n in range(4 * cores))
    assert len([*run_side_by_side(session, samples, ahead_bytes=0)]) == 4 * cores
    assert max(most) == 1


@pytest.mark.usefixtures("cores")
def test_a_sample_that_fails_is_told_in_its_turn(session):
    samples = [{"x": normal(1, 8, 12, 12)}] * 3 + [{"x": normal(1, 5, 12, 12)}]
    made = run_side_by_side(session, samples)
    assert [next(made) is not None for _ in range(3)] == [True] * 3
    with pytest.raises(DataError, match="fails on the inputs"):
        next(made)


def test_a_session_of_one_thread_is_one(session):
    assert session.engine.get_session_options().intra_op_num_threads == 1
