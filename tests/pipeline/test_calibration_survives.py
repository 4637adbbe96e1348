"""A calibration that is killed goes on where it was; processes that share one agree, or all end."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from processes import start, start_two
from strategies import build, normal

from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion

pytest.importorskip("torch")

EAGER = (
    "import wrg_onnx.calibrate.kept_rows as store; store.FLUSH_SECONDS = 0\n"
    "from wrg_onnx.cli import main; main()"
)
QUICK = ("--ratio", 0.4, "--criterion", "sel", "--recover", "none", "--no-evaluate")


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


def rows_in(cache):
    """Count the rows of the gradients in the files of all processes."""
    total = 0
    for file in cache.glob("*.npz"):
        with np.load(file) as archive:
            total += len(archive["images"]) if "factor.gradient" in archive.files else 0
    return total


def alone(model, output, cache=None, samples=24):
    config = PruneConfig(
        0.4,
        criterion=Criterion.SEL,
        data=DataOptions(samples=samples),
        recover=Recovery.NONE,
        evaluate=False,
        cache=cache,
    )
    return prune(model, output, config).report


def test_a_killed_calibration_goes_on_where_it_was(tmp_path, model):
    cache = tmp_path / "cache"
    run = start(
        "prune", model, *QUICK, "--samples", 60, "--cache", cache, "-o", tmp_path / "a.onnx",
        program=("-c", EAGER),
    )  # fmt: skip
    while rows_in(cache) < 3 and run.poll() is None:
        time.sleep(0.02)
    run.kill()
    run.communicate()
    assert not (tmp_path / "a.onnx").exists()
    assert 3 <= rows_in(cache) < 60, "the run ended before it was killed"

    resumed = alone(model, tmp_path / "resumed.onnx", cache, samples=60)
    whole = alone(model, tmp_path / "whole.onnx", samples=60)
    assert (tmp_path / "resumed.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    assert resumed.certainty == whole.certainty
    assert resumed.images_of == whole.images_of
    assert whole.images_of["rank"] < whole.images_of["gradient"], "no factor stopped early"
    assert not [note for note in resumed.notes if str(cache) in note]
    assert rows_in(cache) == resumed.images


def test_two_processes_choose_what_one_does(tmp_path, model):
    shared, output = tmp_path / "cache", tmp_path / "two.onnx"
    both = start_two("prune", model, *QUICK, "--samples", 24, "--cache", shared, "-o", output)
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert "24 used, 20 of them for rank" in " ".join(told[0][0].split())
    assert told[1][0] == ""
    assert alone(model, tmp_path / "one.onnx").images_of == {"rank": 20, "gradient": 24}
    assert output.read_bytes() == (tmp_path / "one.onnx").read_bytes()
    assert rows_in(shared) == 24


def test_a_process_that_is_killed_ends_the_others_without_an_output(tmp_path, model):
    cache, output = tmp_path / "cache", tmp_path / "never.onnx"
    first, second = start_two(
        "prune", model, *QUICK, "--samples", 20000, "--certainty", 1, "--cache", cache, "-o", output
    )
    while not rows_in(cache) and first.poll() is None:
        time.sleep(0.05)
    second.kill()
    _, message = first.communicate(timeout=300)
    second.communicate()
    assert first.returncode == 1
    assert "Error: another process of this run is gone; nothing was written" in message
    assert not output.exists()


def test_a_process_that_is_told_of_others_in_vain_says_so(model):
    run = start("prune", model, *QUICK, "--dry-run", WORLD_SIZE="2")
    _, message = run.communicate(timeout=300)
    assert run.returncode == 1
    assert message.startswith("Error: WORLD_SIZE says that there are other processes")


def test_rounds_need_one_process(tmp_path, model):
    both = start_two("prune", model, *QUICK, "--rounds", 2, "-o", tmp_path / "never.onnx")
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [2, 2]
    assert "start one for more rounds" in told[0][1]
