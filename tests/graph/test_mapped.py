"""Files that weights are read from."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import mapped
from wrg_onnx.graph.mapped import HeldBytes, MappedFile, Stored

FLOAT = np.dtype(np.float32)


@pytest.fixture
def path(tmp_path):
    np.arange(100_000, dtype=np.float32).tofile(tmp_path / "f.bin")
    return tmp_path / "f.bin"


@pytest.fixture(params=["mapped", "read"])
def file(path, request, monkeypatch):
    """The file as it is read where it can be mapped, and where not, on a share of a network."""
    if request.param == "read":

        def refuse(*_, **__):
            raise OSError(19, "No such device")

        monkeypatch.setattr(mmap, "mmap", refuse)
    return MappedFile(path)


def test_an_array_is_read_from_its_place(file):
    found = Stored(file, 400, FLOAT, (20, 30)).read()
    np.testing.assert_array_equal(found, np.arange(100, 700).reshape(20, 30))
    assert not found.flags.writeable


def test_rows_are_read_by_themselves(file):
    rows = Stored(file, 400, FLOAT, (20, 30)).rows()
    np.testing.assert_array_equal(rows(3, 5), np.arange(190, 250).reshape(2, 30))
    np.testing.assert_array_equal(rows(19, 20), np.arange(670, 700).reshape(1, 30))


def test_an_array_at_an_odd_place_is_what_it_says(path):
    path.write_bytes(b"x" + path.read_bytes())
    found = Stored(MappedFile(path), 1, FLOAT, (1000,)).read()
    assert not found.flags.aligned
    np.testing.assert_array_equal(found, np.arange(1000))


def test_bytes_in_memory_are_read_the_same_way():
    held = HeldBytes(np.arange(50, dtype=np.float32).view(np.uint8))
    stored = Stored(held, 40, FLOAT, (4, 5))
    np.testing.assert_array_equal(stored.read(), np.arange(10, 30).reshape(4, 5))
    np.testing.assert_array_equal(stored.rows()(1, 2), np.arange(15, 20).reshape(1, 5))
    assert stored.place() is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells it in /proc")
def test_memory_of_an_array_is_given_back_with_it(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(64 << 20))

    def resident() -> int:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("RssFile"))
        return int(line.split()[1]) << 10

    stored = Stored(MappedFile(path), 0, FLOAT, (16 << 20,))
    before = resident()
    found = stored.read()
    assert found.sum() == 0
    view = found[5:].reshape(-1, 1)
    del found
    assert resident() - before > 60 << 20
    del view
    assert resident() - before < 4 << 20


@pytest.mark.parametrize("how", ["written", "longer", "shorter"])
def test_a_file_that_somebody_changes_is_refused(file, path, how):
    stored = Stored(file, 0, FLOAT, (1000,))
    stored.read()
    content = path.read_bytes()
    changed = {"written": content, "longer": content + b"x", "shorter": content[:-8]}[how]
    path.write_bytes(changed)
    os.utime(path, ns=(1, 1))
    for read in (stored.read, lambda: stored.rows()(0, 10), stored.place):
        with pytest.raises(ModelError, match=r"f\.bin': has changed while it was read"):
            read()


def test_a_file_that_ends_before_it_should_is_refused(path, monkeypatch):
    file = MappedFile(path)
    monkeypatch.setattr(mapped, "_read_at", lambda *_: 0)
    with pytest.raises(ModelError, match="became shorter"):
        file.read_into(0, np.empty(8, np.uint8))


def test_a_file_that_took_its_place_is_another_one(path, tmp_path):
    file = MappedFile(path)
    assert file.is_at(path)
    assert Stored(file, 8, FLOAT, (2,)).place() == mapped.Place(path.resolve(), 8)
    (tmp_path / "new").write_bytes(b"another")
    (tmp_path / "new").replace(path)
    assert not file.is_at(path)
    assert not file.is_at(tmp_path / "absent")
    stored = Stored(file, 4, FLOAT, (2,))
    assert stored.place() is None
    np.testing.assert_array_equal(stored.read(), [1, 2])


def test_what_is_no_ordinary_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not an ordinary file"):
        MappedFile(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        MappedFile(tmp_path)


def test_an_empty_file_has_no_bytes(tmp_path):
    (tmp_path / "empty").touch()
    file = MappedFile(tmp_path / "empty")
    assert file.size == 0
    assert Stored(file, 0, FLOAT, (0, 3)).read().shape == (0, 3)
