"""Data sources of others: a function from what stands behind ``NAME:`` to samples.

``--data`` takes a folder, or ``NAME:WHERE`` for a source that was registered, or that an installed
package brings. What ``WHERE`` is, the source alone knows: a file, an address, the name of a split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.data.address import DataAddress, as_address
from wrg_onnx.data.dataset import DataSet, Sample, check_array, sample_of
from wrg_onnx.data.preprocess import Preprocessing
from wrg_onnx.errors import DataError, UnreadableError, WrgError, spoken
from wrg_onnx.extensions import (
    Kind,
    Named,
    calling_module,
    installed,
    load_named,
    raise_if_missing,
    register_named,
)
from wrg_onnx.graph.model import Array, Value
from wrg_onnx.nearest import did_you_mean

_TRIED = 8
"""How many samples may be broken before a source is."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image, which is resized and normalised as one of a folder is.

    Attributes:
        name: For messages, such as a file's name.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8 gray.
        mask: (H, W) bool, or uint8 of which 128 to 255 is the object; None if there is none.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """What a model is fed, as it is.

    Attributes:
        name: For messages.
        arrays: The model's inputs by name.
    """

    name: str
    arrays: Mapping[str, Array]


Reader: TypeAlias = Callable[[], Picture | Arrays]
"""Reads one sample, each time it is called."""

SourceFunction: TypeAlias = Callable[[str], Sequence[Reader]]
"""Takes what stands behind ``NAME:`` and lists readers; it reads no sample itself."""


_SOURCES: dict[str, Named[SourceFunction]] = {}


def data_source(name: str) -> Callable[[SourceFunction], SourceFunction]:
    """Register a source of samples: ``--data NAME:WHERE`` asks it.

    Args:
        name: Two or more lower-case letters, digits, hyphens and underscores.

    Returns:
        A decorator of a function from ``WHERE`` to readers, which each give a `Picture`, or all of
        them `Arrays`, when called. It returns it as it is.

    Raises:
        ValueError: If the name is taken; the message says by whom.
    """
    return register_named(Kind.DATA_SOURCE, name, _SOURCES, calling_module())


def source_names() -> tuple[str, ...]:
    """List the sources that there are, those included that nobody has asked for yet."""
    return tuple(sorted({*_SOURCES, *installed(Kind.DATA_SOURCE)}))


def read_address(text: str) -> DataAddress | None:
    """Take ``NAME:WHERE`` apart where ``NAME`` is a source; None for what is a path.

    A file or folder that is there goes before a source.
    """
    found = as_address(text)
    if found is None or Path(text).exists() or found.source not in source_names():
        return None
    return found


def refuse_unknown(place: Path) -> None:
    """Say what sources there are, if a path that is not there looks like the address of one.

    Raises:
        DataError: If it does.
    """
    asked = as_address(str(place))
    if asked is not None and not place.exists():
        named = ", ".join(f"'{name}'" for name in source_names()) or "none"
        raise DataError(
            f"no data directory at '{place}', and no data source '{asked.source}'"
            f"{did_you_mean(asked.source, source_names())}: there are {named}"
        )


def from_source(
    address: DataAddress, inputs: Sequence[Value], preprocessing: Preprocessing | None
) -> DataSet:
    """Make a data set of what a source gives.

    Args:
        address: Which source, and what it is asked for.
        inputs: What the model is fed.
        preprocessing: How an image is fed; None if the model does not take one.

    Raises:
        DataError: If the source fails, or gives nothing of use.
        ExtensionError: If an installed package says that it brings the source, and does not.
    """
    source = _find(address.source)
    try:
        listed = list(source.function(address.where))
    except WrgError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"data source '{address.source}' of {source.origin} fails on '{address.where}': "
            f"{spoken(error)}"
        ) from error
    if not listed:
        raise DataError(f"data source '{address.source}' has no samples at '{address.where}'")
    feed = _Feed(str(address), tuple(inputs), preprocessing)
    first = feed.first(listed)
    readers = tuple(partial(feed.read, reader) for reader in listed)
    has_masks = isinstance(first, Picture) and first.mask is not None
    what = ("images with masks" if has_masks else "images") if isinstance(first, Picture) else (
        "samples"
    )  # fmt: skip
    content = f"{what} from {address} ({source.origin})"
    checked = tuple(partial(_alike, reader, address, has_masks=has_masks) for reader in readers)
    return DataSet(checked, content, len(checked), has_masks, are_images=isinstance(first, Picture))


def _find(name: str) -> Named[SourceFunction]:
    load_named(Kind.DATA_SOURCE, name)
    if name not in _SOURCES:
        raise_if_missing(Kind.DATA_SOURCE, name)
    return _SOURCES[name]


def _alike(reader: Callable[[], Sample], address: DataAddress, *, has_masks: bool) -> Sample:
    found = reader()
    if (found.mask is not None) != has_masks:
        raise DataError(
            f"data source '{address}': '{found.name}' has {'no' if has_masks else 'a'} mask, and "
            f"the first sample has {'one' if has_masks else 'none'}: all must, or none"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Feed:
    """Turns what a source gives into what a model is fed.

    Attributes:
        label: What messages call the source.
        inputs: What the model is fed.
        preprocessing: How an image is fed; None if the model does not take one.
    """

    label: str
    inputs: tuple[Value, ...]
    preprocessing: Preprocessing | None

    def ask(self, reader: Reader) -> Picture | Arrays:
        """Read a sample.

        Raises:
            UnreadableError: If it cannot be read.
            DataError: If it is something else.
        """
        try:
            found: Any = reader()
        except WrgError:
            raise
        except (Exception, SystemExit) as error:
            raise UnreadableError(
                f"data source '{self.label}' cannot read a sample: {spoken(error)}"
            ) from error
        if not isinstance(found, (Picture, Arrays)):
            raise DataError(
                f"data source '{self.label}' must give a Picture or Arrays, got "
                f"{type(found).__name__}"
            )
        return found

    def first(self, readers: Sequence[Reader]) -> Picture | Arrays:
        """Read the first sample that can be read.

        Raises:
            UnreadableError: If none of the first few can.
        """
        for reader in readers[:_TRIED]:
            try:
                return self.ask(reader)
            except UnreadableError as error:
                broken = error
        raise broken

    def read(self, reader: Reader) -> Sample:
        """Read a sample, and turn it into the model's inputs.

        Raises:
            UnreadableError: If it cannot be read.
            DataError: If it does not fit the model.
        """
        found = self.ask(reader)
        label = f"data source '{self.label}': '{found.name}'"
        if isinstance(found, Arrays):
            return self._of_arrays(found, label)
        if self.preprocessing is None:
            names = ", ".join(f"'{value.name}'" for value in self.inputs)
            raise DataError(
                f"{label} is an image, but the model does not take an image alone: give Arrays "
                f"with {names}"
            )
        mask = None if found.mask is None else _as_mask(found, label)
        return sample_of(
            found.name, _as_colour(found, label), mask, self.preprocessing, f"{label}: its mask"
        )

    def _of_arrays(self, found: Arrays, label: str) -> Sample:
        feeds: dict[str, Array] = {}
        for value in self.inputs:
            if value.name not in found.arrays:
                names = ", ".join(f"'{name}'" for name in sorted(found.arrays))
                raise DataError(f"{label} lacks the input '{value.name}': it holds {names}")
            array = np.asarray(found.arrays[value.name])
            check_array(label, value, array.dtype, array.shape)
            feeds[value.name] = np.array(array)  # a copy of our own: it is made read-only
        return Sample(found.name, feeds, None)


def _as_colour(picture: Picture, label: str) -> NDArray[np.uint8]:
    image = np.asarray(picture.image)
    if (
        image.dtype != np.uint8
        or not (image.ndim == 2 or image.shape[2:] == (3,))
        or not image.size
    ):
        raise DataError(
            f"{label}: an image is uint8 of (height, width, 3) or (height, width), got "
            f"{image.dtype} of {list(image.shape)}"
        )
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(colour)


def _as_mask(picture: Picture, label: str) -> NDArray[np.uint8]:
    mask = np.asarray(picture.mask)
    if mask.dtype == np.bool_:
        mask = mask.astype(np.uint8) * 255
    if mask.dtype != np.uint8 or mask.shape != np.shape(picture.image)[:2]:
        raise DataError(
            f"{label}: its mask must be bool or uint8 of {list(np.shape(picture.image)[:2])}, got "
            f"{mask.dtype} of {list(mask.shape)}"
        )
    return np.ascontiguousarray(mask)
