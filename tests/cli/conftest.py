"""A small saliency model with open sizes, images, and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from wrg_onnx.cli import main
from wrg_onnx.pipeline import samples

BODY = """<ir_version: 8, opset_import: ["": 17]> g
(float[batch,3,h,w] image) => (float[batch,1,h,w] map) {
    c = Conv<pads=[1,1,1,1]>(image, w1)  a = Relu(c)
    d = Conv<pads=[1,1,1,1]>(a, w2)  b = Relu(d)
    z = Conv<pads=[1,1,1,1]>(b, w3)  map = Sigmoid(z)
}"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Run in an empty folder, 80 columns wide, with short evaluations."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 2)
    return tmp_path


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run a command; what it raises is an error of the test."""

    def invoke(*arguments: object) -> Result:
        return CliRunner(catch_exceptions=False).invoke(main, [str(a) for a in arguments])

    return invoke


def build(path: Path, *replaced: tuple[str, str], **saving) -> Path:
    """Write the model, with parts of its text replaced."""
    body = BODY
    for old, new in replaced:
        assert old in body
        body = body.replace(old, new)
    rng = np.random.default_rng(0)
    names = {"w1": "first.weight", "w2": "second.weight", "w3": "third.weight"}
    model = onnx.parser.parse_model(body)
    for name, shape in (("w1", (16, 3, 3, 3)), ("w2", (16, 16, 3, 3)), ("w3", (1, 16, 3, 3))):
        array = rng.standard_normal(shape).astype(np.float32) / 5
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, names[name]))
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    onnx.save(model, path, **saving)
    return path


@pytest.fixture
def model(folder) -> Path:
    build(folder / "m.onnx")
    return Path("m.onnx")


@pytest.fixture
def make_model() -> Callable[..., Path]:
    return build


@pytest.fixture
def data(folder) -> Path:
    """Four images with masks."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / "data" / kind).mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((40, 40), np.uint8)
        mask[5 + number : 15 + number, 8:20] = 255
        noise = rng.integers(0, 100, (40, 40, 3), np.uint8)
        Image.fromarray(noise + (mask[..., None] // 2)).save(f"data/images/{number}.png")
        Image.fromarray(mask).save(f"data/masks/{number}.png")
    return Path("data")


COMMANDS = {
    "prune": lambda path: ("prune", path, "--ratio", 0.5, "--criterion", "l1"),
    "inspect": lambda path: ("inspect", path),
    "bench": lambda path: ("bench", path),
    "validate": lambda path: ("validate", path, path),
}


@pytest.fixture(params=COMMANDS.values(), ids=COMMANDS)
def command(request) -> Callable[[object], tuple]:
    """Each command that reads models, given the path of one."""
    return request.param


def files():
    return {path: path.stat().st_mtime_ns for path in Path().rglob("*")}


@pytest.fixture
def refused(run):
    """Run a command that must fail; return its one line."""

    def check(*command, code=1):
        before = files()
        done = run(*command)
        assert done.exit_code == code, done.output
        assert done.stdout == ""
        assert files() == before
        lines = done.stderr.splitlines()
        if code == 2 and lines[0].startswith("Usage:"):
            lines = lines[3:]  # click's own reminder
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("Error: ")
        return lines[0].removeprefix("Error: ")

    return check
