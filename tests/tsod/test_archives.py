"""What an archive holds is told before it is unpacked."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest

from wrg_onnx.errors import UnreadableError
from wrg_onnx.tsod import archives
from wrg_onnx.tsod.archives import ArrayForm, open_archive

ARRAYS = {
    "x": np.arange(12, dtype=np.float32).reshape(3, 4),
    "flag": np.array(True),
    "text": np.array("key"),
    "none": np.zeros((0, 3), np.int64),
    "turned": np.arange(6).reshape(2, 3).T,
}


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    return tmp_path / "a.npz"


def load_arrays(path):
    with open_archive(path) as archive:
        return {name: archive.read(name) for name in archive.members}


def member(path, name, content, **info):
    """Add a member, and say of it what is not so."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{name}.npy", content)
        for key, value in info.items():
            setattr(archive.getinfo(f"{name}.npy"), key, value)


def header(shape, descr="<f4", version=(1, 0)):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(2, "little") + text


def test_arrays_are_what_numpy_wrote(path):
    found = load_arrays(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_forms_are_told_without_the_arrays(path, monkeypatch):
    monkeypatch.setattr(np.lib.format, "read_array", None)
    with open_archive(path) as archive:
        assert archive.form("x") == ArrayForm((3, 4), np.dtype(np.float32))
        assert archive.form("flag") == ArrayForm((), np.dtype(bool))
        assert archive.form("none").nbytes == 0


def test_packed_arrays_are_read_one_by_one(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    with open_archive(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive.read("x"), ARRAYS["x"])


def test_more_than_is_set_aside_is_not_unpacked(path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 47)
    with open_archive(path) as archive:
        assert archive.read("flag")
        with pytest.raises(UnreadableError, match=r"'x' would have .* the most for one array"):
            archive.read("x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((1 << 40,)) + bytes(64), "said to be float32 of .*1099511627776.*, and 64 bytes"),
        (header((16,)) + bytes(63), "and 63 bytes follow"),
        (header((16,)) + bytes(65), "and 65 bytes follow"),
        (header((-4, -4)) + bytes(64), "of .-4, -4., and 64 bytes"),
        (header((True, 16)) + bytes(64), "of .True, 16., and 64 bytes"),
        (header((1,), "|O") + b"\x80\x04K\x01.", "pickled objects"),
        (header((16,), version=(3, 0)) + bytes(64), "no array of numbers"),
        (header((16,), version=(9, 9)) + bytes(64), "cannot read"),
        (header("(" * 3000), "cannot read"),
        (header("9" * 9000), "cannot read"),
        (b"none at all", "cannot read"),
        (b"", "cannot read"),
    ],
)
def test_a_member_that_is_no_array_is_refused_in_one_line(path, content, words):
    member(path, "bad", content)
    with open_archive(path) as archive:
        np.testing.assert_array_equal(archive.read("x"), ARRAYS["x"])
        with pytest.raises(UnreadableError, match=words) as caught:
            archive.read("bad")
    assert "\n" not in str(caught.value)


def test_a_damaged_array_is_found_by_its_checksum(path):
    content = bytearray(path.read_bytes())
    content[content.index(ARRAYS["x"].tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match="cannot read"):
        load_arrays(path)


def test_packings_of_others_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", header((16,)) + bytes(64))
    with pytest.raises(UnreadableError, match="packed as NumPy packs nothing"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY\x01\x00", b"x" * 3000])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"not an \.npz archive, or a truncated one"):
        load_arrays(tmp_path / "a.npz")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(UnreadableError, match="not an ordinary file"):
        load_arrays(tmp_path / "a.npz")
