"""Whenever a run is stopped, a model that is read has its own weights: the old ones, or the new."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from strategies import build

from wrg_onnx.errors import OutputError
from wrg_onnx.files import locked, parts
from wrg_onnx.graph import check_model_output, from_proto, save
from wrg_onnx.graph.pair import set_aside, take_places

TEXT = "net{} (float[N,4] x) => (float[N,5000] y) {{ y = MatMul(x, w) }}"


def model(value):
    """Return a model whose name tells the value of its weights."""
    weights = {"w": np.full((4, 5000), value, np.float32)}
    return from_proto(build(TEXT.format(value), weights), name="m")


def value_of(path):
    """Read a model as onnx does and run it as ONNX Runtime does; return its weights' value."""
    onnx.checker.check_model(str(path), full_check=True)
    message = onnx.load(path)
    (tensor,) = message.graph.initializer
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": np.ones((1, 4), np.float32)})
    found = onnx.numpy_helper.to_array(tensor)
    assert np.array_equal(answer[0], np.full(5000, 4 * found[0, 0]))
    assert message.graph.name == f"net{found[0, 0]:.0f}"
    return float(found[0, 0])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class StoppedError(BaseException):
    """What stands for a killed process; nothing is cleaned behind it."""


def stopped_at(monkeypatch, move, *, behind=False):
    """End at a move, before it is made or right behind it."""
    real, moves = Path.replace, []

    def replace(self, target):
        if len(moves) == move and not behind:
            raise StoppedError
        moves.append(target)
        done = real(self, target)
        if len(moves) == move + 1 and behind:
            raise StoppedError
        return done

    monkeypatch.setattr(Path, "replace", replace)
    return moves


@pytest.fixture
def path(tmp_path):
    """Return a model with its weights beside it."""
    save(model(1), tmp_path / "m.onnx", external_data=True)
    assert value_of(tmp_path / "m.onnx") == 1
    return tmp_path / "m.onnx"


def made_elsewhere(value, folder):
    """Return the files of a model in a folder of its own."""
    folder.mkdir()
    save(model(value), folder / "m.onnx", external_data=True)
    return sorted(folder.iterdir())


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


@pytest.mark.parametrize("move", range(MOVES))
def test_behind_each_move_the_model_is_whole(path, monkeypatch, move):
    with monkeypatch.context() as patch:
        stopped_at(patch, move, behind=True)
        with pytest.raises(StoppedError):
            save(model(2), path, external_data=True, force=True)
    assert value_of(path) == (1 if move < MOVES - 1 else 2)
    save(model(3), path, external_data=True, force=True)
    assert value_of(path) == 3
    assert names(path.parent) == ["m.onnx", "m.onnx.data"]


@pytest.mark.parametrize("move", range(MOVES))
def test_a_disk_that_fails_behind_a_move_leaves_a_whole_model(path, monkeypatch, move):
    real, flushed = parts.flush_folder, []

    def flush_folder(folder):
        flushed.append(folder)
        if len(flushed) == move + 1:
            raise OSError(5, os.strerror(5))
        real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(parts, "flush_folder", flush_folder)
        with pytest.raises(OutputError, match="Input/output error"):
            save(model(2), path, external_data=True, force=True)
    assert value_of(path) == (1 if move < MOVES - 1 else 2)
    save(model(3), path, external_data=True, force=True)
    assert names(path.parent) == ["m.onnx", "m.onnx.data"]


def test_a_copy_stays_where_it_cannot_be_told_whether_it_is_read(path, monkeypatch):
    def load_model(*_, **__):
        raise OSError(5, os.strerror(5))

    def replace(self, target):
        real(self, target)
        patch.setattr(onnx, "load_model", load_model)
        raise StoppedError

    real = Path.replace
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(StoppedError):
            set_aside(path, path.with_name("m.onnx.data"))
    assert value_of(path) == 1


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


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("move", range(MOVES))
def test_a_model_that_was_made_elsewhere_takes_its_place_likewise(
    path, tmp_path, monkeypatch, move, behind
):
    files = made_elsewhere(2, tmp_path / "part")
    with monkeypatch.context() as patch:
        stopped_at(patch, move, behind=behind)
        with pytest.raises(StoppedError):
            take_places(files, path)
    assert value_of(path) == (2 if behind and move == MOVES - 1 else 1)
    left = [file for file in files if file.exists()]
    if len(left) == 2:
        take_places(left, path)
        assert value_of(path) == 2
        (tmp_path / "part").rmdir()
        assert names(path.parent) == ["m.onnx", "m.onnx.data"]


# --- two runs at once -----------------------------------------------------------------------------

KINDS = ("pair", "elsewhere", "one file")


def write(kind, value, path):
    """Write a model as each of the three does that may replace two files."""
    if kind == "elsewhere":
        folder = path.with_name(f"part{value}")
        take_places(made_elsewhere(value, folder), path)
        folder.rmdir()
    else:
        save(model(value), path, external_data=kind == "pair", force=True)


def run(kind, value, path, problems):
    """Start a run; what ends it is noted."""

    def guarded():
        try:
            write(kind, value, path)
        except BaseException as error:  # noqa: BLE001 - it is looked at in the thread of the test
            problems.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    return thread


class Pause:
    """Lets the first thread that comes to a move of the path's files wait behind it."""

    def __init__(self, monkeypatch, path, move):
        self.reached, self.go_on = threading.Event(), threading.Event()
        real, self._moves, self._thread = Path.replace, 0, None
        places = (path, path.with_name("m.onnx.data"))

        def replace(file, target):
            done = real(file, target)
            if target in places and self._thread in (None, threading.get_ident()):
                self._thread, self._moves = threading.get_ident(), self._moves + 1
                if self._moves == move:
                    self.reached.set()
                    assert self.go_on.wait(60)
            return done

        monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS[:2])
@pytest.mark.parametrize("move", range(1, MOVES + 1))
def test_a_run_that_comes_between_the_moves_of_another_one_waits(
    path, monkeypatch, move, first, second
):
    problems = []
    pause = Pause(monkeypatch, path, move)
    one = run(first, 2, path, problems)
    assert pause.reached.wait(60)
    other = run(second, 3, path, problems)
    other.join(0.3)
    assert value_of(path) == (1 if move < MOVES else 2)
    pause.go_on.set()
    one.join()
    other.join()
    assert problems == []
    assert value_of(path) == 3
    assert names(path.parent) == ["m.onnx", "m.onnx.data"]


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS[:2])
def test_where_nothing_was_before_two_runs_leave_the_model_of_one(
    tmp_path, monkeypatch, first, second
):
    path, problems = tmp_path / "m.onnx", []
    pause = Pause(monkeypatch, path, 1)
    one = run(first, 2, path, problems)
    assert pause.reached.wait(60)
    other = run(second, 3, path, problems)
    other.join(0.3)
    pause.go_on.set()
    one.join()
    other.join()
    assert problems == []
    assert value_of(path) == 3
    assert names(tmp_path) == ["m.onnx", "m.onnx.data"]


def test_many_turns_of_four_runs_leave_the_model_of_one(path):
    problems = []
    for _ in range(10):
        threads = [run("pair", value, path, problems) for value in range(2, 6)]
        for thread in threads:
            thread.join()
        assert problems == []
        assert value_of(path) in range(2, 6)
        assert names(path.parent) == ["m.onnx", "m.onnx.data"]


def test_a_folder_that_stays_locked_is_told_before_the_work_and_keeps_the_old_pair(
    path, monkeypatch
):
    monkeypatch.setattr("wrg_onnx.files.lock.WAIT_S", 0.1)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    words = "cannot be written: another program has locked its folder .flock. for more than 0.1 s"
    with locked(path.parent):
        with pytest.raises(OutputError, match=f"m.onnx': {words}"):
            check_model_output(path, external_data=True, force=True)
        for kind in ("pair", "one file"):
            with pytest.raises(OutputError, match=words):
                write(kind, 2, path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    check_model_output(path, external_data=True, force=True)


def test_a_model_in_one_file_that_replaces_no_pair_waits_for_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr("wrg_onnx.files.lock.WAIT_S", 0.1)
    with locked(tmp_path):
        check_model_output(tmp_path / "m.onnx", force=False)
        save(model(2), tmp_path / "m.onnx")
        save(model(3), tmp_path / "m.onnx", force=True)
    assert value_of(tmp_path / "m.onnx") == 3


# --- rights ---------------------------------------------------------------------------------------


@pytest.fixture
def no_mask():
    """Let new files be for everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604])
@pytest.mark.usefixtures("no_mask")
def test_what_is_set_aside_is_for_those_alone_who_could_read_it_before(path, monkeypatch, mode):
    for file in path.parent.iterdir():
        file.chmod(mode)
    seen = []
    monkeypatch.setattr(
        "shutil.copyfileobj", lambda _, target, __: seen.append(os.fstat(target.fileno()).st_mode)
    )
    copy = set_aside(path, path.with_name("m.onnx.data"))
    assert [found & 0o777 for found in seen] == [mode]
    assert copy.stat().st_mode & 0o777 == mode
    assert path.stat().st_mode & 0o777 == mode
