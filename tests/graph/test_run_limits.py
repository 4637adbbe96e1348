"""Runs with a loop are watched, and ended when they take too long or too much memory."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.errors import DataError, ModelError, UsageError
from wrg_onnx.graph import infer_shapes, open_session, run_limits
from wrg_onnx.graph.load import from_proto
from wrg_onnx.graph.run_limits import EndlessRunError, RunLimits, limits_of

LOOP = """net (float[4] x, int64 trips) => (float[4] y) {
  y = Loop(trips, , x) <body = b (int64 i, bool c, float[4] v) => (bool d, float[4] u) {
    d = Identity(c)  u = Relu(v) }> }"""
FOR_EVER = {"x": normal(4), "trips": np.array(1 << 62)}


@pytest.fixture
def loop():
    return from_proto(build(LOOP), name="m")


def limits_in(model):
    return limits_of(model.graph, {})


def test_only_what_goes_round_has_limits():
    assert limits_in(build("net (float[4] x) => (float[4] y) { y = Relu(x) }")) is None
    found = limits_in(build(LOOP))
    assert found.loop == "Loop 'y'"
    assert found.seconds == pytest.approx(run_limits.SECONDS, rel=1e-3)
    assert found.grown_bytes == pytest.approx(run_limits.GROWN_BYTES, rel=1e-3)


def test_a_loop_in_a_branch_counts():
    inner = LOOP.partition("{")[2].rpartition("}")[0].replace("y = Loop", "p = Loop")
    model = build(
        f"""net (float[4] x, int64 trips, bool k) => (float[4] y) {{
        y = If(k) <then_branch = t () => (float[4] p) {{ {inner} }},
                   else_branch = e () => (float[4] q) {{ q = Neg(x) }}> }}"""
    )
    assert limits_in(model).loop == "Loop 'p'"


def test_large_weights_give_more_time_and_memory():
    weights = {"w": np.zeros(25 << 20, np.float32)}
    found = limits_of(build(LOOP).graph, weights)
    assert found.seconds == pytest.approx(run_limits.SECONDS + 2, rel=1e-3)
    assert found.grown_bytes == pytest.approx(run_limits.GROWN_BYTES + (400 << 20), rel=1e-3)


def test_the_environment_sets_the_time(monkeypatch):
    monkeypatch.setenv(run_limits.SECONDS_VARIABLE, "90.5")
    assert limits_in(build(LOOP)).seconds == 90.5


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "long"])
def test_a_time_that_is_none_is_a_usage_error(monkeypatch, text):
    monkeypatch.setenv(run_limits.SECONDS_VARIABLE, text)
    with pytest.raises(UsageError, match="WRG_ONNX_LOOP_SECONDS must be a number of seconds"):
        limits_in(build(LOOP))


def test_a_loop_that_ends_gives_what_it_gives(loop):
    found = open_session(loop).run({"x": normal(4), "trips": np.array(3)})
    np.testing.assert_array_equal(found["y"], np.maximum(normal(4), 0))
    assert threading.active_count() < 20


@pytest.mark.parametrize("exact", [False, True])
def test_a_loop_that_takes_too_long_is_ended(loop, monkeypatch, exact):
    monkeypatch.setattr(run_limits, "SECONDS", 0.3)
    session = open_session(loop, exact=exact)
    with pytest.raises(
        EndlessRunError, match="'m': a run takes more than 0 s, and its Loop 'y' may"
    ):
        session.run(FOR_EVER)
    # The session is as good as before.
    assert session.run({"x": normal(4), "trips": np.array(1)})["y"].shape == (4,)


def test_outputs_that_are_lent_are_ended_too(loop, monkeypatch):
    monkeypatch.setattr(run_limits, "SECONDS", 0.3)
    with pytest.raises(EndlessRunError, match="may go round for ever"):
        open_session(loop).lend(FOR_EVER, ["y"])


def test_a_loop_that_takes_too_much_memory_is_ended(monkeypatch):
    monkeypatch.setattr(run_limits, "GROWN_BYTES", 64 << 20)
    model = build(
        """net (float[4] x, int64 trips) => (float[4] y, float[a,b] all) {
        y, all = Loop(trips, , x) <body = b (int64 i, bool c, float[4] v)
            => (bool d, float[4] u, float[1048576] g) {
            d = Identity(c)  u = Relu(v)  z = Slice(v, zero, one)  g = Expand(z, wide) }> }""",
        {"zero": np.array([0]), "one": np.array([1]), "wide": np.array([1 << 20])},
    )
    session = open_session(from_proto(model, name="m"))
    with pytest.raises(EndlessRunError, match=r"takes more than 0\.1 GiB"):
        session.run(FOR_EVER)


def test_what_a_caller_gives_up_is_no_endless_run(loop):
    with pytest.raises(DataError, match="ONNX Runtime fails on the inputs"):
        open_session(loop).run(FOR_EVER, seconds=0.2)


def test_a_caller_that_waits_longer_than_the_limit_gets_the_limit(loop, monkeypatch):
    monkeypatch.setattr(run_limits, "SECONDS", 0.3)
    with pytest.raises(EndlessRunError):
        open_session(loop).run(FOR_EVER, seconds=60)


def test_the_sooner_of_two_times_counts():
    limits = RunLimits(5.0, 100, "Loop 'l'")
    assert limits.within(60) is limits
    assert limits.within(2) == RunLimits(2, 100)


def test_where_memory_is_not_told_of_time_is(loop, monkeypatch, tmp_path):
    monkeypatch.setattr(run_limits, "_STATM", tmp_path / "none")
    monkeypatch.setattr(run_limits, "SECONDS", 0.3)
    with pytest.raises(EndlessRunError, match="takes more than 0 s"):
        open_session(loop).run(FOR_EVER)


def test_sizes_are_not_observed_for_ever(monkeypatch):
    monkeypatch.setattr(run_limits, "SECONDS", 0.3)
    text = LOOP.replace(", int64 trips) => (float[4] y)", ") => (int64[a,b] n)")
    model = build(f"{text[:-1]} n = NonZero(y) }}", {"trips": np.array(1 << 62)})
    with pytest.raises(ModelError, match="may go round for ever"):
        infer_shapes(from_proto(model, name="m"), {"x": (4,)})
