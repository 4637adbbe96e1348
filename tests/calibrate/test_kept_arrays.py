"""An archive is read as it was written, or refused by one of two kinds of error."""

from __future__ import annotations

import random
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from wrg_onnx.calibrate import kept_arrays
from wrg_onnx.calibrate.kept_arrays import UnsoundError, opened, write_arrays
from wrg_onnx.errors import UnreadableError

KEY = "ab" * 32
ROWS = np.arange(6.0).reshape(2, 3)
NAMES = np.array(["one", "two"])


@pytest.fixture
def path(tmp_path):
    write_arrays(tmp_path / "a.npz", KEY, [("rows", ROWS), ("names", NAMES)])
    return tmp_path / "a.npz"


def read(path, key=KEY):
    with opened(path, key) as archive:
        rows = archive.take("rows", "<f8", (None, 3))
        return rows, archive.texts("names", (2,))


def is_refused(path):
    """Tell whether an archive is refused; what is read is what was written."""
    try:
        rows, names = read(path)
    except (UnreadableError, UnsoundError):
        return True
    assert np.array_equal(rows, ROWS)
    assert names == ["one", "two"]
    return False


def test_what_was_written_is_read(path):
    assert not is_refused(path)
    with np.load(path) as archive:
        assert sorted(archive.files) == ["key", "names", "rows", "seal"]


@pytest.mark.parametrize("bit", [0x01, 0x20, 0x80])
def test_whichever_byte_is_another_it_is_noticed_or_makes_no_difference(path, bit):
    whole, refused = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        refused += is_refused(path)
    assert refused > 0.6 * len(whole)  # the format has fields that nothing depends on


def test_wherever_it_is_cut_it_is_noticed(path):
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert is_refused(path)


def test_random_bytes_in_it_are_noticed(path):
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(2000):
        start = rng.randrange(len(whole))
        some = rng.randbytes(rng.randrange(1, 200))
        path.write_bytes((whole[:start] + some + whole[start + len(some) :])[: len(whole)])
        refused += is_refused(path)
    assert refused > 0.9 * 2000  # the format has fields that nothing depends on


def test_another_key_is_refused(path):
    with pytest.raises(UnsoundError):
        read(path, "0" * 64)


def test_an_array_that_nobody_asks_for_is_refused(path):
    with pytest.raises(UnsoundError), opened(path, KEY) as archive:
        archive.take("rows", "<f8", (2, 3))


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("rows", "<f4", (2, 3)),
        ("rows", "<f8", (3, 2)),
        ("rows", "<f8", (2,)),
        ("rows", "<f8", (2, 3, 1)),
        ("rows", "u", (2, 3)),
        ("none", "<f8", (2, 3)),
        ("names", "<f8", (2,)),
    ],
)
def test_an_array_of_another_name_type_or_shape_is_refused(path, name, kind, shape):
    with pytest.raises(UnsoundError), opened(path, KEY) as archive:
        archive.take(name, kind, shape)


def write_head(path, shape, held=b""):
    """Write rows of another shape, to which checksum and seal fit: whoever did it means harm."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n"
    head = np.lib.format.magic(1, 0) + len(text).to_bytes(2, "little") + text.encode()
    with zipfile.ZipFile(path, "w") as archive:
        kept_arrays._write(archive, "key", np.array(KEY))
        archive.writestr("rows.npy", head + held)
        kept_arrays._write(archive, "names", NAMES)
        kept_arrays._write(archive, "seal", np.array(kept_arrays.seal_of(archive)))


def test_a_head_that_gives_a_truth_value_as_a_size_is_refused(path):
    write_head(path, "(True, 3)", bytes(24))
    assert is_refused(path)


def test_a_head_that_promises_more_than_there_is_takes_no_memory(path, monkeypatch):
    write_head(path, "(1000000000000, 3)")
    monkeypatch.setattr(kept_arrays.npy, "read_array", read_array := Counted(npy.read_array))
    assert is_refused(path)
    assert read_array.shapes == [(), ()]  # the key and the seal


class Counted:
    """Reads arrays, and notes their shapes."""

    def __init__(self, real):
        self.real, self.shapes = real, []

    def __call__(self, stream, **options):
        array = self.real(stream, **options)
        self.shapes.append(array.shape)
        return array
