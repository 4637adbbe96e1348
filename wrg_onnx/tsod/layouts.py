"""Where data sets of salient objects keep their images and masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wrg_onnx.errors import DataError
from wrg_onnx.tsod.pictures import IMAGE_SUFFIXES, list_files, reading

LAYOUTS: tuple[tuple[str, str], ...] = (
    ("images", "masks"),
    ("images", "ground_truth_mask"),  # ECSSD
    ("imgs", "gt"),  # HKU-IS
    ("images", "gt"),
    ("imgs", "masks"),
    ("image", "mask"),
    ("image", "gt"),
    ("img", "gt"),
    ("im", "gt"),
    ("dut-omron-image", "pixelwisegt-new-png"),
)
"""Names of the two folders, in lower case; the first pair that is there counts."""

IMAGE_ENDING, MASK_ENDING = "-image", "-mask"
"""DUTS names them DUTS-TR-Image and DUTS-TR-Mask."""

DEEPEST = 3
"""So many folders down data sets are looked for."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image file and its mask file, which share a name apart from the suffix."""

    image: Path
    mask: Path

    @property
    def name(self) -> str:
        """What both are called."""
        return self.image.stem


@dataclass(frozen=True, slots=True)
class PairedSet:
    """One data set.

    Attributes:
        name: Its folder below the one that was searched, or the name of that one.
        images: The folder of its images.
        masks: The folder of its masks.
        pairs: In the order of their names, at least one.
        without_mask: The names of images that have no mask.
        without_image: The names of masks that have no image.
    """

    name: str
    images: Path
    masks: Path
    pairs: tuple[Pair, ...]
    without_mask: tuple[str, ...]
    without_image: tuple[str, ...]

    def sources(self) -> Iterator[Path]:
        """Yield the two folders, and each file that is a link and so may lie elsewhere."""
        yield from (self.images, self.masks)
        for pair in self.pairs:
            yield from (file for file in (pair.image, pair.mask) if file.is_symlink())


def find_sets(root: Path, *, skip: Path | None = None) -> tuple[PairedSet, ...]:
    """Find the data sets in a folder, which may be one itself or hold several.

    Args:
        root: Where to look, up to ``DEEPEST`` folders down.
        skip: A folder that is passed over, such as the one to be written.

    Returns:
        At least one, in the order of their folders.

    Raises:
        DataError: If there is no such folder, it holds no data set, one has no pair of an image
            and a mask, or two files of one share a name.
    """
    if not root.is_dir():
        raise DataError(f"no folder at '{root}'")
    seen = set() if skip is None else {skip.resolve()}
    found = tuple(_search(root, root, DEEPEST, seen))
    if not found:
        raise DataError(
            f"no data set in '{root}': expected folders such as images and masks, images and "
            f"ground_truth_mask, imgs and gt, or DUTS-TE-Image and DUTS-TE-Mask"
        )
    return found


def _search(folder: Path, root: Path, depth: int, seen: set[Path]) -> Iterator[PairedSet]:
    if folder.resolve() in seen:  # two links may lead to one folder, or to one above
        return
    seen.add(folder.resolve())
    with reading(folder):
        entries = sorted(e for e in folder.iterdir() if e.is_dir() and not e.name.startswith("."))
    pairs = list(_folder_pairs(entries))
    for name, images, masks in pairs:
        # DUTS-TR/DUTS-TR-Image says the name twice.
        place = folder if name in ("", folder.name) else folder / name
        below = place.relative_to(root).as_posix()
        yield _paired(root.resolve().name if below == "." else below, images, masks)
    used = {path for _, images, masks in pairs for path in (images, masks)}
    if depth:
        for entry in entries:
            if entry not in used:
                yield from _search(entry, root, depth - 1, seen)


def _folder_pairs(folders: list[Path]) -> Iterator[tuple[str, Path, Path]]:
    """Yield the pairs of image and mask folders among neighbours, with what names them."""
    known = {folder.name.lower(): folder for folder in folders}
    for images, masks in LAYOUTS:
        if images in known and masks in known:
            yield "", known[images], known[masks]
            break
    for lower, folder in known.items():
        masks = lower.removesuffix(IMAGE_ENDING) + MASK_ENDING
        if lower.endswith(IMAGE_ENDING) and masks in known:
            yield folder.name[: -len(IMAGE_ENDING)], folder, known[masks]


def _paired(name: str, images: Path, masks: Path) -> PairedSet:
    image_files, mask_files = _by_name(images), _by_name(masks)
    both = sorted(image_files.keys() & mask_files.keys())
    if not both:
        raise DataError(
            f"no image in '{images}' has a mask of its name in '{masks}': "
            f"{len(image_files)} images, {len(mask_files)} masks"
        )
    return PairedSet(
        name=name,
        images=images,
        masks=masks,
        pairs=tuple(Pair(image_files[stem], mask_files[stem]) for stem in both),
        without_mask=tuple(sorted(image_files.keys() - mask_files.keys())),
        without_image=tuple(sorted(mask_files.keys() - image_files.keys())),
    )


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in list_files(folder, IMAGE_SUFFIXES):
        other = found.setdefault(file.stem, file)
        if other is not file:
            raise DataError(f"'{other}' and '{file.name}' share a name: a mask belongs to which?")
    return found
