"""A calibration that is killed goes on where it was; processes that share one agree, or all end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from strategies import build, normal

from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune

EAGER = (
    "import wrg_onnx.calibrate.store as store; store.FLUSH_SECONDS = 0\n"
    "from wrg_onnx.cli import main; main()"
)
QUICK = ("--recover", "none", "--no-evaluate")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    weights = {
        "w1": normal(16, 3, 3, 3), "w2": normal(16, 16, 3, 3, seed=1) / 8,
        "w3": normal(1, 16, 1, 1),
    }  # fmt: skip
    built = build(
        """net (float[1,3,48,48] x) => (float[1,1,48,48] y) {
            c = Conv<pads = [1,1,1,1]>(x, w1)  a = Relu(c)
            d = Conv<pads = [1,1,1,1]>(a, w2)  b = Relu(d)  z = Conv(b, w3)  y = Sigmoid(z)
        }""",
        weights,
    )
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(built, path)
    return path


def start(model, arguments, samples, program=("-m", "wrg_onnx"), **environment):
    command = [
        sys.executable, *program, "prune", str(model), "--ratio", "0.4",
        "--samples", str(samples), *QUICK, *map(str, arguments),
    ]  # fmt: skip
    return subprocess.Popen(
        command, env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def rows_in(cache):
    files = list(cache.glob("*.npz"))
    if not files:
        return 0
    with np.load(files[0]) as archive:
        return len(archive["images"])


def in_process(cache, samples=24):
    return PruneConfig(
        0.4, data=DataOptions(samples=samples), recover=Recovery.NONE,
        evaluate=False, cache=cache,
    )  # fmt: skip


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def together(port, rank, model, arguments, samples=24):
    pytest.importorskip("torch")
    return start(
        model, arguments, samples, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
    )  # fmt: skip


def test_a_killed_calibration_goes_on_where_it_was(tmp_path, model):
    pytest.importorskip("torch")
    cache = tmp_path / "cache"
    run = start(model, ["--cache", cache, "-o", tmp_path / "a.onnx"], 24, ("-c", EAGER))
    while rows_in(cache) < 3 and run.poll() is None:
        time.sleep(0.02)
    run.kill()
    run.communicate()
    assert not (tmp_path / "a.onnx").exists()
    found = rows_in(cache)
    assert 3 <= found < 24, "the run ended before it was killed"

    resumed = prune(model, tmp_path / "resumed.onnx", in_process(cache))
    whole = prune(model, tmp_path / "whole.onnx", in_process(None))
    assert (tmp_path / "resumed.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    assert resumed.certainty == whole.certainty
    assert not any(str(cache) in note for note in resumed.notes)
    assert rows_in(cache) == 24


def test_two_processes_choose_what_one_does(tmp_path, model):
    port = free_port()
    shared = tmp_path / "cache"
    both = [
        together(port, rank, model, ["--cache", shared, "-o", tmp_path / "two.onnx"])
        for rank in (0, 1)
    ]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert "24 used" in told[0][0]
    assert told[1][0] == ""
    prune(model, tmp_path / "one.onnx", in_process(None))
    assert (tmp_path / "two.onnx").read_bytes() == (tmp_path / "one.onnx").read_bytes()
    assert rows_in(shared) == 24


def test_a_process_that_is_killed_ends_the_others_without_an_output(tmp_path, model):
    port = free_port()
    cache = tmp_path / "cache"
    first, second = (
        together(port, rank, model, ["--cache", cache, "-o", tmp_path / "never.onnx"], samples=2000)
        for rank in (0, 1)
    )
    while not rows_in(cache) and first.poll() is None:
        time.sleep(0.05)
    second.kill()
    _, message = first.communicate(timeout=300)
    second.communicate()
    assert first.returncode == 1
    assert "Error: another process of this run is gone; nothing was written" in message
    assert not (tmp_path / "never.onnx").exists()
