"""What is left of killed runs is known and removed; what lives, or is a stranger's, stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from wrg_onnx.files import held, part_folder, remove_leftovers, renamed, scratch_folder
from wrg_onnx.files.held import boot, hold_file, marked

HOLDER = """
import sys, time
from pathlib import Path
from wrg_onnx.files import part_folder, renamed, scratch_folder
def told(path):
    print(path, flush=True)
    time.sleep(60)
kind, path = sys.argv[1], Path(sys.argv[2])
if kind == "scratch":
    with scratch_folder() as folder:
        (folder / "a").write_bytes(b"half")
        told(folder)
elif kind == "folder":
    with part_folder(path) as folder:
        (folder / "a").write_bytes(b"half")
        told(folder)
else:
    with renamed(path) as part:
        part.write_bytes(b"half")
        told(part)
"""

KINDS = ("file", "folder", "scratch")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Put temporary folders where the other files of the test are."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture
def holder(temporary):
    """Start processes that are busy writing; return each with what it holds."""
    started = []

    def start(kind):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, kind, temporary / "m.onnx"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process, held.Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_living_process_holds_stays_and_goes_once_it_is_killed(holder, temporary, kind):
    process, path = holder(kind)
    assert path.exists()
    remove_leftovers(temporary)
    assert path.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.exists()
    remove_leftovers(temporary)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_run_that_writes_there_removes_it(holder, temporary, kind):
    process, path = holder(kind)
    process.kill()
    process.wait()
    again = {
        "file": lambda: renamed(temporary / "other.onnx"),
        "folder": lambda: part_folder(temporary / "other"),
        "scratch": scratch_folder,
    }
    with again[kind]() as part:
        assert not path.exists()
        assert part.exists()


def test_what_this_process_holds_stays(tmp_path):
    with renamed(tmp_path / "a") as one, renamed(tmp_path / "b") as other:
        remove_leftovers(tmp_path)
        assert one.exists()
        assert other.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


STRANGE = (
    ".m.onnx.part",
    ".m.onnx.abcdefgh.part",
    "m.onnx.part",
    "wrg-onnx-mine",
    "wrg-onnx",
    "wrg-onnx-0123456789abcdef",
    f"x{marked()}",
    f"{marked()}x",
    marked(".m.onnx.", ".part.bak"),
    marked(".m.onnx.data.", ".old"),
    marked("m.onnx.", ".part"),
)


@pytest.mark.parametrize("name", STRANGE, ids=range(len(STRANGE)))  # their names are drawn
def test_strangers_stay(tmp_path, name):
    (tmp_path / name).write_text("mine", encoding="utf-8")
    remove_leftovers(tmp_path)
    assert (tmp_path / name).exists()


def test_links_devices_and_what_they_lead_to_stay(tmp_path):
    inside, target = tmp_path / "inside", tmp_path / "target"
    inside.mkdir()
    target.mkdir()
    (target / "mine").touch()
    (inside / marked()).symlink_to(target)
    (inside / marked(".m.", ".part")).symlink_to(target / "mine")
    os.mkfifo(inside / marked(".m.", ".part"))
    remove_leftovers(inside)
    assert len(list(inside.iterdir())) == 3
    assert (target / "mine").exists()


def test_a_folder_that_is_not_there_has_none(tmp_path):
    remove_leftovers(tmp_path / "none")
    (tmp_path / "file").touch()
    remove_leftovers(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_another_user_left_stays(tmp_path):
    path = tmp_path / marked(".m.", ".part")
    path.touch()
    os.chown(path, 12345, -1)
    remove_leftovers(tmp_path)
    assert path.exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_is_of_another_start_or_machine_stays_for_a_week(tmp_path, is_folder):
    path = tmp_path / marked(".m.", ".part").replace(boot(), "01234567")
    newest = path
    if is_folder:
        path.mkdir()
        newest = path / "image.png"
    newest.touch()
    almost = time.time() - held.OTHERS_AGE_S + 60
    os.utime(path, (0, 0))
    os.utime(newest, (almost, almost))
    remove_leftovers(tmp_path)
    assert path.exists()
    os.utime(newest, (almost - 120, almost - 120))
    remove_leftovers(tmp_path)
    assert not path.exists()


def test_on_a_file_system_without_locks_nothing_is_taken_for_left(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(held.fcntl, "flock", refuse)
    left = tmp_path / marked(".m.", ".part")
    left.touch()
    with renamed(tmp_path / "a") as part:
        part.write_text("whole", encoding="utf-8")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "whole"
    assert left.exists()


def test_what_is_taken_for_left_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """Between the making of a file and its lock another run may come by."""
    real, removed = held.fcntl.flock, []

    def flock(handle, how):
        if not removed:
            (path,) = tmp_path.iterdir()
            removed.append(path)
            path.unlink()
        real(handle, how)

    monkeypatch.setattr(held.fcntl, "flock", flock)
    path, handle = hold_file(lambda: tmp_path / marked(".m.", ".part"))
    os.close(handle)
    assert path != removed[0]
    assert path.exists()


def test_runs_that_write_and_clean_at_once_lose_nothing(tmp_path):
    """Eight threads, each a run of its own to a lock, write to one folder."""
    problems = []

    def write(name):
        try:
            for number in range(30):
                with renamed(tmp_path / name, lasting=False) as part:
                    part.write_text(str(number), encoding="utf-8")
                    remove_leftovers(tmp_path)
                    assert part.read_text(encoding="utf-8") == str(number)
        except BaseException as error:  # noqa: BLE001 - it is looked at in the thread of the test
            problems.append(error)

    threads = [threading.Thread(target=write, args=(f"{number}.onnx",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n}.onnx" for n in range(8)]
