"""Whenever a run is stopped, a model that is read has its own weights: the old ones, or the new."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from strategies import build

from wrg_onnx.errors import OutputError
from wrg_onnx.graph import from_proto, save
from wrg_onnx.graph.pair import set_aside, take_places

TEXT = "net (float[N,4] x) => (float[N,5000] y) { y = MatMul(x, w) }"


def model(value):
    weights = {"w": np.full((4, 5000), value, np.float32)}
    return from_proto(build(TEXT, weights), name="m")


def value_of(path):
    """Read a model as onnx does and run it as ONNX Runtime does; return its weights' value."""
    onnx.checker.check_model(str(path), full_check=True)
    (tensor,) = onnx.load(path).graph.initializer
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": np.ones((1, 4), np.float32)})
    found = onnx.numpy_helper.to_array(tensor)
    assert np.array_equal(answer[0], np.full(5000, 4 * found[0, 0]))
    return float(found[0, 0])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class StoppedError(BaseException):
    """What stands for a killed process; nothing is cleaned behind it."""


def stopped_at(monkeypatch, move):
    """End at a move, before it is made; what would clean up is gone, too."""
    real, moves = Path.replace, []

    def replace(self, target):
        if len(moves) == move:
            raise StoppedError
        moves.append(target)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    return moves


@pytest.fixture
def path(tmp_path):
    """Return a model with its weights beside it."""
    save(model(1), tmp_path / "m.onnx", external_data=True)
    assert value_of(tmp_path / "m.onnx") == 1
    return tmp_path / "m.onnx"


MOVES = 3


@pytest.mark.parametrize("move", range(MOVES + 1))
def test_at_each_move_the_model_is_whole(path, monkeypatch, move):
    with monkeypatch.context() as patch:
        moves = stopped_at(patch, move)
        if move < MOVES:
            with pytest.raises(StoppedError):
                save(model(2), path, external_data=True, force=True)
        else:
            save(model(2), path, external_data=True, force=True)
            assert len(moves) == MOVES
            assert names(path.parent) == ["m.onnx", "m.onnx.data"]
    assert value_of(path) == (1 if move < MOVES else 2)
    save(model(3), path, external_data=True, force=True)
    assert value_of(path) == 3
    assert names(path.parent) == ["m.onnx", "m.onnx.data"]


def test_what_was_set_aside_goes_once_a_model_in_one_file_takes_its_place(path, monkeypatch):
    with monkeypatch.context() as patch:
        stopped_at(patch, 1)
        with pytest.raises(StoppedError):
            save(model(2), path, external_data=True, force=True)
    assert len(names(path.parent)) == 3
    save(model(3), path, force=True)
    assert value_of(path) == 3
    assert names(path.parent) == ["m.onnx", "m.onnx.data"]


def test_without_room_for_a_copy_the_old_model_stays_as_it_was(path, monkeypatch):
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}

    def full(*_):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", full)
        with pytest.raises(OutputError, match="No space left on device"):
            save(model(2), path, external_data=True, force=True)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_weights_that_the_model_does_not_read_are_not_copied(path):
    save(model(2), path, force=True)
    assert set_aside(path, path.with_name("m.onnx.data")) is None
    path.write_bytes(b"no model")
    assert set_aside(path, path.with_name("m.onnx.data")) is None
    path.unlink()
    assert set_aside(path, path.with_name("m.onnx.data")) is None


@pytest.mark.parametrize("move", range(MOVES))
def test_a_model_that_was_made_elsewhere_takes_its_place_likewise(
    path, tmp_path, monkeypatch, move
):
    (tmp_path / "part").mkdir()
    save(model(2), tmp_path / "part" / "m.onnx", external_data=True)
    parts = sorted((tmp_path / "part").iterdir())
    with monkeypatch.context() as patch:
        stopped_at(patch, move)
        with pytest.raises(StoppedError):
            take_places(parts, path)
    assert value_of(path) == 1
    left = [part for part in parts if part.exists()]
    if len(left) == 2:
        take_places(left, path)
        assert value_of(path) == 2
        (tmp_path / "part").rmdir()
        assert names(path.parent) == ["m.onnx", "m.onnx.data"]
