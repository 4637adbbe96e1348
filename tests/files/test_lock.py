"""One run at a time moves files in a folder, and none waits for ever."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from wrg_onnx.files import locked, part_folder, scratch_folder

HOLDER = """
import sys, time
from pathlib import Path
from wrg_onnx.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


FORKING = """
import os, sys
from pathlib import Path
from wrg_onnx.files import locked
sys.modules["wrg_onnx.files.lock"].WAIT_S = 0.2
reader, writer = os.pipe()
with locked(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:  # it has all that this process has open, until it is told to end
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
with locked(Path(sys.argv[1])):
    print("free", flush=True)
os.close(writer)
os.waitpid(child, 0)
"""


def enter(folder):
    with locked(folder):
        pass


@pytest.fixture
def soon(monkeypatch):
    """Do not wait for long."""
    monkeypatch.setattr("wrg_onnx.files.lock.WAIT_S", 0.2)


@pytest.mark.usefixtures("soon")
def test_one_at_a_time_and_nothing_is_left(tmp_path):
    with locked(tmp_path):
        with pytest.raises(TimeoutError, match="another program has locked its folder"):
            enter(tmp_path)
        assert list(tmp_path.iterdir()) == []
    enter(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("soon")
def test_folders_are_locked_each_by_itself_by_whatever_path(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a")
    with locked(tmp_path / "a"):
        enter(tmp_path / "b")
        enter(tmp_path)
        with pytest.raises(TimeoutError):
            enter(tmp_path / "link")


def test_who_waits_goes_on_once_the_lock_is_free(tmp_path):
    done = []

    def wait():
        with locked(tmp_path):
            done.append("other")

    with locked(tmp_path):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        done.append("one")
    thread.join()
    assert done == ["one", "other"]


@pytest.mark.usefixtures("soon")
def test_the_lock_of_a_killed_process_is_free(tmp_path):
    command = [sys.executable, "-c", HOLDER, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(TimeoutError):
            enter(tmp_path)
        process.send_signal(signal.SIGKILL)
    enter(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_forked_meanwhile_does_not_keep_it(tmp_path):
    command = [sys.executable, "-c", FORKING, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "free\n", "")


@pytest.mark.usefixtures("soon")
def test_temporary_folders_are_held_already_and_for_one_run_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as folder:
        enter(folder)
        monkeypatch.chdir(folder)
        enter(folder.relative_to(folder))
    with part_folder(tmp_path / "m.onnx") as folder:
        enter(folder)
        assert folder.is_dir()


@pytest.mark.parametrize("number", [95, 9, 37])  # EOPNOTSUPP; EBADF and ENOLCK of NFS
def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    entered = []
    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path):
        entered.append(number)
    assert entered == [number]


def test_a_folder_that_is_gone_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        enter(tmp_path / "gone")
