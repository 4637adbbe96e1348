"""Pipes and devices in the place of files: refused at once, never waited for, never replaced."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest

L1 = ("--ratio", 0.5, "--criterion", "l1", "--recover", "none")
WR = ("--ratio", 0.5, "--criterion", "wr", "--samples", 2, "--size", 32, "--no-evaluate",
      "--recover", "none")  # fmt: skip
SPECIAL = ("pipe", "/dev/zero", "/dev/full", "/dev/null")


@pytest.fixture(params=SPECIAL)
def special(request):
    """A pipe that nobody writes to, or a device."""
    if request.param == "pipe":
        os.mkfifo("pipe")
    elif not Path(request.param).is_char_device():
        pytest.skip(f"no {request.param} here")
    return Path(request.param)


@pytest.fixture(autouse=True)
def as_before():
    """Nothing took long, and devices are devices still."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 10
    for path in map(Path, SPECIAL):
        assert not path.exists() or not stat.S_ISREG(path.stat().st_mode)


def test_it_is_no_model(refused, command, special):
    assert refused(*command(special)) == f"'{special}': cannot be read: not an ordinary file"


def test_it_holds_no_weights(refused, make_model, special):
    make_model("m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    Path("m.data").unlink()
    Path("m.data").symlink_to(special.absolute())
    assert "its external data cannot be read" in refused("inspect", "m.onnx")


def test_it_is_no_folder_of_data(refused, model, special):
    assert f"no data directory at '{special}'" in refused("prune", model, *WR, "--data", special)


@pytest.mark.parametrize("place", ["images/2.png", "masks/2.png", "images/9.jpg"])
def test_it_is_no_image_of_a_folder(refused, model, data, special, place):
    (data / place).unlink(missing_ok=True)
    (data / place).symlink_to(special.absolute())
    line = refused("prune", model, *WR, "--data", data)
    assert line == f"cannot read 'data/{place}': not an ordinary file"


def test_it_is_no_archive_of_a_folder(refused, model, folder, special):
    (folder / "npz").mkdir()
    for number in range(3):
        np.savez(f"npz/{number}.npz", image=np.zeros((1, 3, 32, 32), np.float32))
    (folder / "npz" / "3.npz").symlink_to(special.absolute())
    line = refused("prune", model, *WR, "--data", "npz")
    assert line == "cannot read 'npz/3.npz': not an ordinary file"


@pytest.mark.parametrize("command", ["prune", "cache"])
def test_it_is_no_cache(refused, model, special, command):
    options = {"prune": ("prune", model, *WR), "cache": ("cache",)}[command]
    line = refused(*options, "--cache", special, code=2)
    assert line == f"cache '{special}' is no folder"


def test_in_a_cache_it_is_passed_over(run, model, folder, special):
    assert run("prune", model, *WR, "--cache", "kept").exit_code == 0
    (kept,) = (folder / "kept").iterdir()
    kept.unlink()
    kept.symlink_to(special.absolute())
    done = run("prune", model, *WR, "--cache", "kept", "--force")
    assert done.exit_code == 0
    assert "a link, not a file; the statistics are taken anew" in " ".join(done.stdout.split())
    assert run("cache", "--cache", "kept").exit_code == 0


@pytest.mark.parametrize("option", [("--resume",), ("--force",), ()])
def test_it_is_no_checkpoint(refused, model, data, special, option):
    pytest.importorskip("torch")
    line = refused(
        "finetune", model, "--data", data, "--size", 32, "--checkpoint", special, *option
    )
    assert str(special) in line
    assert "is a device or a pipe, not a file" in line or "exists" in line


@pytest.mark.parametrize("name", ["wrg.toml", "pyproject.toml", "named.toml", "run.json"])
def test_it_is_no_file_of_options(run, model, special, name):
    Path(name).symlink_to(special.absolute())
    named = ("--config", name) if name in ("named.toml", "run.json") else ()
    done = run("prune", model, *L1, *named)
    assert done.exit_code == 2
    assert done.stderr == f"Error: '{name}': cannot be read: not an ordinary file\n"


def test_no_model_takes_the_place_of_a_pipe(refused, model):
    os.mkfifo("out.onnx")
    line = refused("prune", model, *L1, "-o", "out.onnx", "--force")
    assert line == "'out.onnx' is a device or a pipe, not a file; --output names another"
