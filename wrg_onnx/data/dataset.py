"""Data sets: where the samples for statistics and for judging come from.

A data set is a list of readers. Making one looks at names and image headers alone; a file is
decoded when its sample is asked for, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wrg_onnx.channels.feeds import random_feeds
from wrg_onnx.data.preprocess import Preprocessing, to_feed, to_mask
from wrg_onnx.errors import DataError, UnreadableError, UsageError
from wrg_onnx.tsod.archives import open_archive
from wrg_onnx.tsod.pictures import (
    IMAGE_SUFFIXES,
    MASK_THRESHOLD,
    MOST_BROKEN,
    decode,
    list_files,
    picture_size,
)
from wrg_onnx.tsod.scenes import generate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wrg_onnx.graph.model import Array, Graph, Shape, Value


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One batch of one, with its mask if there is one. The arrays are read-only.

    Attributes:
        name: The file's name, or ``generated 3``, for messages.
        feeds: The model's inputs by name.
        mask: (H, W) bool at the model's input resolution, True on the objects; or None.
    """

    name: str
    feeds: Mapping[str, Array]
    mask: NDArray[np.bool_] | None

    def __post_init__(self) -> None:
        for array in (*self.feeds.values(), *(() if self.mask is None else (self.mask,))):
            array.setflags(write=False)


class _Shelf:
    """Keeps samples that were read, as long as there is room."""

    def __init__(self, readers: Sequence[Callable[[], Sample]], most_bytes: int) -> None:
        self._readers, self._most_bytes = readers, most_bytes
        self._room = most_bytes
        self._samples: dict[int, Sample] = {}

    def __reduce__(self) -> tuple[type[_Shelf], tuple[Sequence[Callable[[], Sample]], int]]:
        return _Shelf, (self._readers, self._most_bytes)  # another process reads them itself

    def read(self, index: int) -> Sample:
        found = self._samples.get(index)
        if found is None:
            found = self._readers[index]()
            size = sum(array.nbytes for array in found.feeds.values())
            size += 0 if found.mask is None else found.mask.nbytes
            if size <= self._room:
                self._room -= size
                self._samples[index] = found
        return found


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Samples that are read, or made, one at a time.

    Attributes:
        readers: Make the samples; each call reads its files again.
        content: What the samples are and where from, such as ``"images from data"``.
        total: The number of samples before any were left out.
        has_masks: Whether every sample has a mask; otherwise none has.
        are_images: Whether they are made of images, by the preprocessing.
    """

    readers: tuple[Callable[[], Sample], ...]
    content: str
    total: int
    has_masks: bool
    are_images: bool = True

    def __len__(self) -> int:
        return len(self.readers)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            DataError: If its file cannot be read, or does not fit the model.
        """
        return self.readers[index]()

    def __iter__(self) -> Iterator[Sample]:
        return (reader() for reader in self.readers)

    @property
    def description(self) -> str:
        """Size, kind and origin, such as ``"50 of 199 images with masks from data/SOD300"``."""
        size = f"{len(self)}" if len(self) == self.total else f"{len(self)} of {self.total}"
        return f"{size} {self.content}"

    def take(self, indices: Sequence[int] | NDArray[np.intp]) -> DataSet:
        """Return the data set of these samples, in this order."""
        readers = tuple(self.readers[int(index)] for index in indices)
        return replace(self, readers=readers)

    def kept(self, most_bytes: int) -> DataSet:
        """Return the same samples, which are kept once they were read.

        Args:
            most_bytes: How many bytes of arrays are kept; what does not fit is read each time.
        """
        shelf = _Shelf(self.readers, most_bytes)
        readers = tuple(partial(shelf.read, index) for index in range(len(self)))
        return replace(self, readers=readers)

    def without_broken(self) -> tuple[DataSet, tuple[str, ...]]:
        """Leave out the samples whose files are broken; each is read once for that.

        Returns:
            The others, and a message for each that was left out.

        Raises:
            UnreadableError: As for ``sound``.
            DataError: If a file can be read and does not fit the model.
        """
        indices, broken = self.sound()
        return (self.take(indices) if broken else self), broken

    def sound(self) -> tuple[list[int], tuple[str, ...]]:
        """Find the samples whose files can be read; each is read once for that.

        Returns:
            Their indices, and a message for each other one.

        Raises:
            UnreadableError: If there are more than one and more than ``MOST_BROKEN`` of all, or
                nothing is left.
            DataError: If a file can be read and does not fit the model.
        """
        sound: list[int] = []
        broken: list[str] = []
        for index in range(len(self)):
            try:
                self[index]
            except UnreadableError as error:
                broken.append(str(error))
            else:
                sound.append(index)
        if broken and (not sound or len(broken) > max(1, MOST_BROKEN * len(self))):
            raise UnreadableError(
                f"{len(broken)} of {len(self)} {self.content} are broken: {broken[0]}"
            )
        return sound, tuple(broken)


def split(
    count: int, validation_fraction: float = 0.25, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide samples at random into a calibration set and a validation set that never overlap.

    Args:
        count: The number of samples.
        validation_fraction: The share for validation, in (0, 1). Two samples or more leave at
            least one on each side; a single one is for calibration.
        seed: The same seed gives the same split.

    Returns:
        The indices of both sets, ascending.

    Raises:
        UsageError: If the fraction is out of its range.
    """
    if not 0 < validation_fraction < 1:
        raise UsageError(f"validation fraction must be in (0, 1), got {validation_fraction}")
    # At least 1 for validation, and at least 1 for calibration, which comes first.
    held_out = min(max(round(count * validation_fraction), 1), max(count - 1, 0))
    shuffled = np.random.default_rng(seed).permutation(count)
    return np.sort(shuffled[held_out:]), np.sort(shuffled[:held_out])


def from_directory(
    path: Path | str, inputs: Sequence[Value], preprocessing: Preprocessing | None
) -> DataSet:
    """Make a data set of a folder.

    The folder holds ``images/`` or the images themselves, and possibly ``masks/`` with files of
    the same names; or ``.npz`` files whose arrays are the model's inputs by name. A model that
    takes no image reads the ``.npz`` files, any other the images if there are some.

    Args:
        path: The folder.
        inputs: What the model is fed.
        preprocessing: How an image is fed; None if the model does not take one.

    Returns:
        The samples in the order of their names.

    Raises:
        DataError: If there is no such folder, it holds nothing of use, only some images have masks,
            a mask has no image, or a mask and its image differ in size.
    """
    path = Path(path)
    if not path.is_dir():
        raise DataError(
            f"no data directory at '{path}': give a folder with images/ (and masks/), or .npz files"
        )
    folder = path / "images" if (path / "images").is_dir() else path
    images, archives = list_files(folder, IMAGE_SUFFIXES), list_files(path, (".npz",))
    if images and preprocessing is not None:
        return _from_images(path, images, preprocessing)
    if archives:
        expected = tuple(inputs)
        readers = tuple(partial(_read_archive, file, expected) for file in archives)
        content = f".npz files from {path}"
        return DataSet(readers, content, len(readers), has_masks=False, are_images=False)
    if images:
        names = ", ".join(f"'{value.name}'" for value in inputs)
        raise DataError(
            f"'{path}' holds images, but the model does not take an image alone: give .npz files "
            f"with arrays {names}"
        )
    raise DataError(
        f"no images ({', '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)}) in '{folder}' and no "
        f".npz files in '{path}'"
    )


def generated(preprocessing: Preprocessing, count: int, seed: int) -> DataSet:
    """Make a data set of the built-in tiny-salient-object images, at the model's resolution."""
    readers = tuple(partial(_generate, preprocessing, seed, index) for index in range(count))
    return DataSet(readers, "generated images of tiny objects with masks", count, has_masks=True)


def random_inputs(graph: Graph, shapes: Mapping[str, Shape], count: int, seed: int) -> DataSet:
    """Make a data set of random tensors, as ``channels.random_feeds`` draws them.

    Args:
        graph: The model.
        shapes: A concrete shape per input.
        count: The number of samples.
        seed: The same seed gives the same samples.

    Raises:
        DataError: If an input is not of floats, integers or booleans.
    """
    for value in graph.inputs:
        if value.dtype.kind not in "fiub":
            raise DataError(f"input '{value.name}' is of {value.dtype}: give .npz files")
    readers = tuple(partial(_random, graph, dict(shapes), seed, index) for index in range(count))
    return DataSet(readers, "seeded random inputs", count, has_masks=False, are_images=False)


def _from_images(path: Path, images: Sequence[Path], preprocessing: Preprocessing) -> DataSet:
    """Pair images with masks by name, and compare their sizes from the headers."""
    masks = {file.stem: file for file in list_files(path / "masks", IMAGE_SUFFIXES)}
    names = {file.stem for file in images}
    if masks:
        _refuse("images have no mask in", path / "masks", sorted(names - masks.keys()), len(names))
        _refuse("masks have no image for", path, sorted(masks.keys() - names), len(masks))
        for image in images:
            with suppress(UnreadableError):  # who reads the pair will say so
                _check_sizes(image, masks[image.stem])
    readers = tuple(
        partial(_read_pair, image, masks.get(image.stem), preprocessing) for image in images
    )
    content = f"images {'with masks ' if masks else ''}from {path}"
    return DataSet(readers, content, len(readers), has_masks=bool(masks))


def _check_sizes(image: Path, mask: Path) -> None:
    size, mask_size = picture_size(image), picture_size(mask)
    if size != mask_size:
        raise DataError(
            f"mask '{mask}' is {mask_size[0]}x{mask_size[1]} pixels, "
            f"its image is {size[0]}x{size[1]}"
        )


def _refuse(problem: str, where: Path, names: Sequence[str], total: int) -> None:
    """Raise if any name is left over; the message shows the first few."""
    if names:
        shown = ", ".join(f"'{name}'" for name in names[:3]) + (", ..." if len(names) > 3 else "")
        raise DataError(f"{len(names)} of {total} {problem} '{where}': {shown}")


def _read_pair(image: Path, mask: Path | None, preprocessing: Preprocessing) -> Sample:
    values = None if mask is None else decode(mask, "L")
    return sample_of(image.name, decode(image, "RGB"), values, preprocessing, f"mask '{mask}'")


def sample_of(
    name: str,
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    preprocessing: Preprocessing,
    mask_label: str,
) -> Sample:
    """Turn an image, and its mask, into a sample.

    Args:
        name: Of the sample.
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) uint8, or None.
        preprocessing: How an image is fed.
        mask_label: What a message calls the mask.

    Raises:
        DataError: If the mask is neither empty nor has an object.
    """
    feed = to_feed(image, preprocessing)
    object_mask = None
    if mask is not None:
        if 0 < mask.max() < MASK_THRESHOLD:
            raise DataError(
                f"{mask_label} is empty: its brightest pixel is {mask.max()}, and objects are "
                f"{MASK_THRESHOLD} to 255"
            )
        object_mask = to_mask(mask, preprocessing.height, preprocessing.width)
    return Sample(name, {preprocessing.input: feed}, object_mask)


def _read_archive(file: Path, inputs: Sequence[Value]) -> Sample:
    """Read what the model is fed; other arrays are not unpacked, whatever they would be."""
    with open_archive(file) as archive:
        missing = [f"'{value.name}'" for value in inputs if value.name not in archive.members]
        if missing:
            names = ", ".join(f"'{name}'" for name in sorted(archive.members))
            raise DataError(f"'{file}' lacks the input {', '.join(missing)}: it holds {names}")
        for value in inputs:
            form = archive.form(value.name)
            check_array(f"'{file}'", value, form.dtype, form.shape)
        feeds: dict[str, Array] = {value.name: archive.read(value.name) for value in inputs}
    return Sample(file.name, feeds, None)


def check_array(label: str, value: Value, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Hold the form of an array against the input that it is for.

    Raises:
        DataError: If it does not fit; the message begins with the label.
    """
    if dtype != value.dtype or not _fits(shape, value.shape):
        expected = "any shape" if value.shape is None else list(value.shape)
        raise DataError(
            f"{label}: input '{value.name}' must be {value.dtype} of {expected}, "
            f"got {dtype} of {list(shape)}"
        )


def _fits(shape: tuple[int, ...], expected: tuple[int | str | None, ...] | None) -> bool:
    if expected is None or len(shape) != len(expected):
        return expected is None
    pairs = zip(shape, expected, strict=True)
    return all(size == wanted for size, wanted in pairs if isinstance(wanted, int))


def _generate(preprocessing: Preprocessing, seed: int, index: int) -> Sample:
    # A generator of its own per sample: it is the same whatever was read before it.
    rng = np.random.default_rng([seed, index])
    image, mask = generate(rng, preprocessing.height, preprocessing.width)
    feeds = {preprocessing.input: to_feed(image, preprocessing)}
    return Sample(f"generated {index}", feeds, mask >= MASK_THRESHOLD)


def _random(graph: Graph, shapes: Mapping[str, Shape], seed: int, index: int) -> Sample:
    feeds = random_feeds(graph, shapes, np.random.default_rng([seed, index]))
    return Sample(f"random {index}", feeds, None)
