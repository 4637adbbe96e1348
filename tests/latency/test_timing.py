"""Two models timed in this process."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from wrg_onnx import progress
from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Provider, from_proto, open_session
from wrg_onnx.latency import Timing, time_pair, timing

BODY = '<ir_version: 8, opset_import: ["": 13]> g (float[2] x) => (float[2] y) { y = Neg(x) }'
FEEDS = {"x": np.ones(2, np.float32)}


@pytest.fixture
def session():
    return open_session(from_proto(onnx.parser.parse_model(BODY), name="m"))


def time(session, rounds):
    rng = np.random.default_rng(0)
    return time_pair(session, session, FEEDS, Provider.CPU, Timing(1, rounds), rng)


def test_before_and_after_come_with_their_ratio_and_its_interval(session):
    speed = time(session, 9)
    assert (speed.provider, speed.before.runs, speed.after.runs) == ("cpu", 9, 9)
    assert speed.speedup.value == speed.before.median_ms / speed.after.median_ms
    assert speed.speedup.low <= speed.speedup.value <= speed.speedup.high
    assert speed.noise.spread is None
    assert speed.noise.tail >= 1


def test_the_noise_is_that_of_the_noisier_model(session, monkeypatch):
    made = []

    def timed(_):
        made.append(1 + 8 * len(made))  # the second model has a slow call
        slow = iter([0, 0, made[-1], *[0] * 9])
        return lambda calls: [int(1e6) * max(1, next(slow)) for _ in range(calls)]

    monkeypatch.setattr(timing, "timed", timed)
    noise = time(session, 4).noise
    assert noise.tail == pytest.approx(np.percentile([1, 9, 1, 1], 95))


def test_rounds_are_counted(session, monkeypatch):
    monkeypatch.setattr(progress, "OFTEN_S", 0)
    told = []
    rng = np.random.default_rng(0)
    time_pair(
        session, session, FEEDS, Provider.CPU, Timing(1, 6), rng, progress=lambda *a: told.append(a)
    )
    assert told == [("latency", done, 6) for done in range(1, 7)]


def test_a_single_round_claims_nothing(session):
    assert not time(session, 1).speedup.is_known


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"warmup": -1}])
def test_a_timing_out_of_its_range_is_refused(wrong):
    with pytest.raises(UsageError, match="must be at least"):
        Timing(**wrong)
