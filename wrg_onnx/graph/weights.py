"""Weights by name: in memory, in a file, or made from others when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

HELD_BYTES = 1 << 20
"""Arrays below this are kept in memory; larger ones are read, or made, each time."""

BLOCK_BYTES = 16 << 20
"""How much of an array is looked at at a time."""


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Tell whether elements are of bfloat16, which is no type of numpy's own."""
    return dtype.name == "bfloat16"


def is_float(dtype: np.dtype[Any]) -> bool:
    """Tell whether elements are numbers that gradients and least squares may change."""
    return dtype.kind == "f" or is_bfloat16(dtype)


class Form(Protocol):
    """What is known of an array without reading it; numpy's own arrays tell it, too."""

    @property
    def shape(self) -> Shape:
        """The size of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of an element."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    @property
    def size(self) -> int:
        """Number of elements."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""


class Unread(Form, Protocol):
    """An array that is not in memory."""

    def read(self) -> Array:
        """Return it, read-only; numpy may call it unaligned."""

    def rows(self) -> Callable[[int, int], Array]:
        """Return what gives some of its rows, from one to before another; it has an axis."""


class Shaped:
    """What a shape and a type tell of an array."""

    __slots__ = ()

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Derived(Shaped):
    """An array that is made from others when it is asked for.

    Attributes:
        shape: Its shape.
        dtype: Its element type.
        make: Makes it.
    """

    shape: Shape
    dtype: np.dtype[Any]
    make: Callable[[], Array]

    def read(self) -> Array:
        """Make it."""
        found = self.make()
        found.setflags(write=False)
        return found

    def rows(self) -> Callable[[int, int], Array]:
        """Make it, and return what gives some of its rows."""
        made = self.read()
        return lambda start, stop: made[start:stop]


Entry: TypeAlias = "Array | Unread"


def held(entry: Entry) -> Entry:
    """Bring a small array into memory, where it is aligned; leave a large one where it is."""
    if isinstance(entry, np.ndarray) or entry.nbytes >= HELD_BYTES:
        return entry
    found = np.array(entry.read())
    found.setflags(write=False)
    return found


def blocks(entry: Entry, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[slice, Array]]:
    """Go through an array a few rows at a time.

    Of one in a file no more than a block is in memory; each must be used before the next is asked
    for, which takes its place.

    Args:
        entry: The array; it has an axis.
        block_bytes: How much a block has about.

    Yields:
        Which rows, and these.
    """
    count = entry.shape[0]
    step = max(1, block_bytes * count // max(1, entry.nbytes))
    places = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    if isinstance(entry, np.ndarray):
        yield from ((place, entry[place]) for place in places)
        return
    rows = entry.rows()
    yield from ((place, rows(place.start, place.stop)) for place in places)


def aligned(entry: Entry) -> Array:
    """Return an array as other libraries want it: aligned, in one piece, in C order."""
    if isinstance(entry, np.ndarray):
        return np.require(entry, requirements=["C", "A"])
    found = entry.read()
    if found.flags.aligned and found.flags.c_contiguous:
        return found
    del found  # of the file no more than a block is in memory
    copy = np.empty(entry.shape, entry.dtype)
    for rows, block in blocks(entry):
        copy[rows] = block
    copy.setflags(write=False)
    return copy


class Weights(Mapping[str, Array]):
    """Arrays by name, each read when it is asked for: hold one only as long as it is needed."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        """Take arrays, or what reads them, by name."""
        self._entries: dict[str, Entry] = dict(entries or {})

    def __getitem__(self, name: str) -> Array:
        """Return an array, read-only."""
        entry = self._entries[name]
        return entry if isinstance(entry, np.ndarray) else entry.read()

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Count the arrays."""
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is an array of this name, without reading it."""
        return name in self._entries

    def __repr__(self) -> str:
        """Show shapes and types."""
        forms = (f"{name}: {form.dtype} {form.shape}" for name, form in self.forms.items())
        return f"Weights({', '.join(forms)})"

    def blocks(self, name: str, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[slice, Array]]:
        """Go through an array that has an axis a few rows at a time, as ``blocks`` does."""
        return blocks(self._entries[name], block_bytes)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Arrays that are in memory, and of others what reads them, by name."""
        return self._entries

    @property
    def forms(self) -> Mapping[str, Form]:
        """Shapes and types by name; nothing is read."""
        return self._entries

    def changed(self, entries: Mapping[str, Entry]) -> Weights:
        """Return a copy in which some arrays are others, or new."""
        return Weights({**self._entries, **entries})
