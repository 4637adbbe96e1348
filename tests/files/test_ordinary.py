"""Pipes and devices are not read, not waited for and not replaced, whoever names them."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from wrg_onnx.errors import OutputError
from wrg_onnx.files import check_output, is_special, open_ordinary, read_ordinary


@pytest.fixture(params=["pipe", "socket", "/dev/zero", "/dev/full", "link"])
def special(request, tmp_path, monkeypatch):
    """Something that is neither a file nor a folder."""
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    path = Path(request.param)
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(request.param)
    elif request.param == "link":
        path.symlink_to("/dev/zero")
    if not path.exists():
        pytest.skip(f"no {path} here")
    return path


def test_it_is_not_read(special):
    with pytest.raises(OSError, match=r"not an ordinary file|No such device"):
        open_ordinary(special)
    with pytest.raises(OSError, match=r"not an ordinary file|No such device"):
        read_ordinary(special)
    assert is_special(special)


@pytest.mark.parametrize("force", [False, True])
def test_no_file_takes_its_place(special, force):
    kind = stat.S_IFMT(special.stat().st_mode)
    with pytest.raises(OutputError, match="is a device or a pipe, not a file; --report"):
        check_output(special, force=force, option="--report")
    assert stat.S_IFMT(special.stat().st_mode) == kind


def test_ordinary_files_folders_and_nothing_are_not_special(tmp_path):
    (tmp_path / "file").write_bytes(b"held")
    (tmp_path / "link").symlink_to("file")
    for path in (tmp_path, tmp_path / "file", tmp_path / "link", tmp_path / "none"):
        assert not is_special(path)
    assert read_ordinary(tmp_path / "link") == b"held"
    with open_ordinary(tmp_path / "file") as stream:
        assert stream.read(2) == b"he"


def test_a_folder_and_what_is_not_there_are_named_as_such(tmp_path):
    with pytest.raises(IsADirectoryError):
        open_ordinary(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_ordinary(tmp_path / "none")


def test_a_file_that_is_larger_than_it_may_be_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(bytes(10))
    assert read_ordinary(tmp_path / "file", 10) == bytes(10)
    with pytest.raises(OSError, match="File too large"):
        read_ordinary(tmp_path / "file", 9)
