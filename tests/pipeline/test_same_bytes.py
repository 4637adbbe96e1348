"""The same input gives the same bytes, however many threads there are, and wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import onnxruntime
import pytest
from strategies import build, normal
from threadpoolctl import threadpool_limits

import wrg_onnx
from wrg_onnx.calibrate.gradient import each_alone
from wrg_onnx.calibrate.weight import distances
from wrg_onnx.graph import side_by_side

# Small maps and long sums, of which ONNX Runtime makes other parts for other numbers of threads.
NET = """net (float[1,3,40,40] x) => (float[1,1,10,10] y) {
    c = Conv<pads = [1,1,1,1], strides = [2,2]>(x, w1, b1)  a = Relu(c)
    d = Conv<pads = [1,1,1,1], strides = [2,2]>(a, w2, b2)  f = Relu(d)
    e = Conv<pads = [1,1,1,1]>(f, w3, b3)  b = Relu(e)  z = Conv(b, w4)  y = Sigmoid(z) }"""
WEIGHTS = {
    "w1": normal(22, 3, 3, 3), "b1": normal(22), "w2": normal(45, 22, 3, 3) / 14, "b2": normal(45),
    "w3": normal(27, 45, 3, 3) / 20, "b3": normal(27), "w4": normal(1, 27, 1, 1),
}  # fmt: skip
OPTIONS = {"ratio": 0.4, "samples": 4, "evaluate": False, "cache": False, "provider": "cpu"}
WAYS = {
    "repair and ridge": {},
    "ranks and biases": {"criterion": "wr", "recover": "bias"},
    "gradients": {"criterion": "sel"},
    "distances": {"criterion": "fpgm", "recover": "none"},
    "rounds": {"rounds": 2, "certainty": 0.9},
    "half": {"half": True},
}


@contextmanager
def threads(count, monkeypatch):
    """Let BLAS, ONNX Runtime and torch have so many threads, and this package so many cores."""
    plain = onnxruntime.SessionOptions

    def options():
        made = plain()
        made.intra_op_num_threads = count
        return made

    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with monkeypatch.context() as patch, threadpool_limits(count):
        patch.setattr(onnxruntime, "SessionOptions", options)
        for module in (side_by_side, each_alone, distances):
            patch.setattr(module, "usable_cores", lambda: count)
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def pruned(**options):
    return wrg_onnx.prune(build(NET, WEIGHTS), **{**OPTIONS, **options}).model.SerializeToString()


@pytest.mark.parametrize("way", WAYS)
def test_any_number_of_threads_gives_the_same_bytes(way, monkeypatch):
    found = []
    for count in (1, 2, 5):
        with threads(count, monkeypatch):
            found.append(pruned(**WAYS[way]))
    assert found[0] == found[1] == found[2]


def test_more_threads_would_change_what_layers_make():
    """That is what the tests above are about: else they would tell nothing."""
    x = {"x": normal(1, 3, 40, 40)}
    made = []
    for count in (1, 2, 3, 4, 5, 6):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = count
        session = onnxruntime.InferenceSession(
            build(NET, WEIGHTS).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        made.append(session.run(None, x)[0])
    if all(np.array_equal(made[0], other) for other in made):
        pytest.skip("this processor's kernels do not depend on the number of threads here")
    assert all(np.allclose(made[0], other, rtol=1e-4) for other in made)


SCRIPT = """
import sys
import wrg_onnx
source, target = sys.argv[1:]
for name in ("first", "second"):
    wrg_onnx.prune(source, f"{target}/{name}.onnx", ratio=0.4, samples=4, evaluate=False,
                   cache=False, provider="cpu")
"""


def test_neither_folder_nor_hash_seed_nor_a_second_time_changes_a_byte(tmp_path):
    import onnx

    onnx.save(build(NET, WEIGHTS), tmp_path / "m.onnx")
    found = []
    for number, seed in enumerate(("0", "12345")):
        place = tmp_path / f"place{number}"
        (place / "tmp").mkdir(parents=True)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TMPDIR": str(place / "tmp")}
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "m.onnx"), str(place)],
            cwd=place, env=environment, check=True,
        )  # fmt: skip
        found += [(place / f"{name}.onnx").read_bytes() for name in ("first", "second")]
    assert all(other == found[0] for other in found)
