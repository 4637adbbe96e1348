"""Damage to files that a later run reads: each thing in them, in each of many ways."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wrg_onnx.calibrate import kept_arrays

Arrays = dict[str, np.ndarray]


# --- the file as a whole --------------------------------------------------------------------------


def _cut(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def _filled(start: float) -> Callable[[Path], None]:
    """Fill with zeros from somewhere on, as a disk may after a loss of power."""

    def fill(path: Path) -> None:
        size = path.stat().st_size
        whole = path.read_bytes()[: int(size * start)]
        path.write_bytes(whole + bytes(size - len(whole)))

    return fill


def _turned(share: float) -> Callable[[Path], None]:
    def turn(path: Path) -> None:
        whole = bytearray(path.read_bytes())
        whole[int(len(whole) * share)] ^= 0x10
        path.write_bytes(whole)

    return turn


def _content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "mine").touch()


def _link(path: Path) -> None:
    """Put a link to the very file in its place."""
    (path.parent / "elsewhere").mkdir(exist_ok=True)
    path.symlink_to(shutil.move(path, path.parent / "elsewhere" / path.name))


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


FILES: dict[str, Callable[[Path], None]] = {
    "empty": _content(b""),
    "cut to a byte": _cut(1e-9),
    "cut to a tenth": _cut(0.1),
    "cut to half": _cut(0.5),
    "cut by little": _cut(0.999),
    "zeros": _filled(0.0),
    "zeros from the middle on": _filled(0.5),
    "zeros at the end": _filled(0.99),
    "a bit at the beginning": _turned(0.001),
    "a bit in the first half": _turned(0.3),
    "a bit in the second half": _turned(0.7),
    "a bit at the end": _turned(0.999),
    "a pickle": _content(pickle.dumps([print])),
    "text": _content(b"not what it was\n"),
    "the head of an archive": _content(b"PK\x03\x04bad"),
    "brackets": _content(b"[" * 200_000),
    "numbers": _content(bytes(range(256)) * 40),
    "a folder": _folder,
    "a link": _link,
    "a link to nothing": _dangling,
    "a pipe": _pipe,
}
"""Ways to damage a file, by name."""


def remove(path: Path) -> None:
    """Remove whatever is in the place of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# --- archives of arrays ---------------------------------------------------------------------------


def _first(value: object) -> Callable[[np.ndarray], np.ndarray | None]:
    """Set the first element, in a type that holds it."""

    def change(array: np.ndarray) -> np.ndarray | None:
        if array.dtype.kind not in "fiu" or not array.size:
            return None
        if array.dtype.kind != "f" and not float(value).is_integer():  # NaN and infinity
            return None
        kind = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
        if kind is not None and not kind.min <= value <= kind.max:
            return None
        found = array.copy()
        found.reshape(-1)[0] = value
        return None if np.array_equal(found, array) else found

    return change


def _as(kind: str) -> Callable[[np.ndarray], np.ndarray | None]:
    def change(array: np.ndarray) -> np.ndarray | None:
        if array.dtype == np.dtype(kind):
            return None
        if array.dtype.kind == "U":
            return np.zeros(array.shape, kind)
        with np.errstate(all="ignore"):
            return array.astype(kind)

    return change


FORMS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "an axis more": lambda a: a[None],
    "flat": lambda a: a.reshape(-1) if a.ndim != 1 else None,
    "an axis less": lambda a: a.reshape(-1)[0] if a.ndim and a.size else None,
    "longer": lambda a: np.concatenate([a, a[-1:]]) if a.ndim and a.size else None,
    "shorter": lambda a: a[:-1] if a.ndim and a.size else None,
    "empty": lambda a: a[:0] if a.ndim and a.size else None,
    "booleans": _as("?"),
    "objects": lambda a: np.full(a.shape, print, object),
    "half floats": _as("<f2"),
    "complex numbers": _as("<c16"),
    "signed numbers": _as("<i2"),
    "numbers the other way round": lambda a: (
        a.astype(a.dtype.newbyteorder()) if a.dtype.kind in "fi" and a.dtype.itemsize > 1 else None
    ),
    "bytes": lambda a: np.zeros(a.shape, "S3"),
    "dates": lambda a: np.zeros(a.shape, "<M8[s]"),
    "records": lambda a: np.zeros(a.shape, [("a", "<f4")]),
    "not a number": _first(np.nan),
    "infinity": _first(np.inf),
    "minus infinity": _first(-np.inf),
}
"""Ways to change an array to what nothing can be, whatever the seal says; None if it cannot be."""

VALUES: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "-1": _first(-1),
    "10^9": _first(10**9),
    "0": _first(0),
    "1e-3": _first(1e-3),
    "its first two the other way round": lambda a: (
        np.concatenate([a[1::-1], a[2:]])
        if a.ndim and len(a) > 1 and not np.array_equal(a[0], a[1])
        else None
    ),
    "another text": lambda a: np.full(a.shape, "0" * 64) if a.dtype.kind == "U" else None,
    "the other way": lambda a: ~a if a.dtype.kind == "b" and a.size else None,
}
"""Ways to change an array to what it might have been."""


def arrays_of(path: Path) -> Arrays:
    """Read an archive, seal and key included."""
    with np.load(path) as archive:
        return dict(archive)


def same(one: Arrays, other: Arrays) -> bool:
    """Tell whether two archives hold the same."""
    return one.keys() == other.keys() and all(
        np.array_equal(array, other[name]) for name, array in one.items()
    )


def write(path: Path, arrays: Arrays, *, sealed: bool) -> None:
    """Write an archive anew.

    Args:
        path: Where to.
        arrays: What it holds.
        sealed: Whether it gets the seal of what it now holds, if it has one at all.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            if sealed and name == kept_arrays.SEAL:
                continue
            with archive.open(f"{name}.npy", "w") as stream:
                np.save(stream, array, allow_pickle=True)
        if sealed and kept_arrays.SEAL in arrays:
            kept_arrays._write(archive, kept_arrays.SEAL, np.array(kept_arrays.seal_of(archive)))


def changed_arrays(arrays: Arrays, *, sealed: bool) -> Iterator[tuple[str, Arrays]]:
    """Yield archives of which one array is another, missing or new.

    Args:
        arrays: The whole archive.
        sealed: Whether its seal will fit: then only what nothing can be is asked for.
    """
    ways = FORMS if sealed else {**FORMS, **VALUES}
    for name in arrays:
        if sealed and name == kept_arrays.SEAL:
            continue
        rest = {other: array for other, array in arrays.items() if other != name}
        yield f"without {name}", rest
        for way, change in ways.items():
            found = change(arrays[name])
            if found is not None:
                yield f"{name}: {way}", {**arrays, name: found}
    for way, extra in (("numbers", np.zeros(3)), ("objects", np.array([print], object))):
        yield f"{way} more", {**arrays, "more": extra}


def packed(path: Path) -> None:
    """Write an archive anew, compressed."""
    np.savez_compressed(path, **arrays_of(path))


# --- JSON -----------------------------------------------------------------------------------------

LEAVES: dict[str, Any] = {
    "a text": "1",
    "a boolean": True,
    "a list": [1],
    "an object": {"a": 1},
    "nothing": None,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "-1": -1,
    "-0.5": -0.5,
    "10^9": 10**9,
    "10^400": 10**400,
}
"""What may stand in the place of a number, a text, a list or an object."""


def changed_plain(plain: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield copies of what JSON holds with one thing in it changed, missing or new."""
    for way, value in LEAVES.items():
        if not (type(value) is type(plain) and value == plain):
            yield f"{where or 'all'}: {way}", value
    if isinstance(plain, dict):
        for name in plain:
            yield f"without {where}.{name}", {k: v for k, v in plain.items() if k != name}
            for way, value in changed_plain(plain[name], f"{where}.{name}"):
                yield way, {**plain, name: value}
        yield f"{where}: one more", {**plain, "more": 1}
    elif isinstance(plain, list):
        for number, one in enumerate(plain):
            yield f"without {where}[{number}]", [*plain[:number], *plain[number + 1 :]]
            for way, value in changed_plain(one, f"{where}[{number}]"):
                yield way, [*plain[:number], value, *plain[number + 1 :]]
        yield f"{where}[]: one more", [*plain, plain[-1] if plain else 1]
