"""Which pairs of a data set are kept, and why others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wrg_onnx.errors import DataError, UsageError
from wrg_onnx.progress import Progress
from wrg_onnx.tsod.layouts import PairedSet
from wrg_onnx.tsod.measure import Measured, measure
from wrg_onnx.tsod.pictures import MASK_THRESHOLD, MOST_BROKEN, decode
from wrg_onnx.tsod.scenes import LARGEST_SHARE


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """What is kept.

    Attributes:
        max_area: The largest share of the image that its objects may cover, in (0, 1].
        min_area: The smallest one, in [0, max_area]; an image without an object is never kept.
        threshold: A mask's pixel at or above it belongs to an object, 1 to 255.

    Raises:
        UsageError: If a field is out of its range.
    """

    max_area: float = LARGEST_SHARE
    min_area: float = 0.0
    threshold: int = MASK_THRESHOLD

    def __post_init__(self) -> None:
        if not 0 < self.max_area <= 1:
            raise UsageError(f"max area must be in (0, 1], a share, got {self.max_area}")
        if not 0 <= self.min_area <= self.max_area:
            raise UsageError(
                f"min area must be in [0, max area], that is [0, {self.max_area}], "
                f"got {self.min_area}"
            )
        if not 1 <= self.threshold <= 255:
            raise UsageError(f"threshold must be in 1 to 255, got {self.threshold}")


@dataclass(frozen=True, slots=True)
class Sifted:
    """A data set with its pairs measured.

    Attributes:
        data: The data set.
        kept: The pairs whose objects are of the asked size.
        dropped: Those whose objects are not, or that have none.
        faults: A message for each pair that cannot be used.
    """

    data: PairedSet
    kept: tuple[Measured, ...]
    dropped: tuple[Measured, ...]
    faults: tuple[str, ...]


def sift(sets: Sequence[PairedSet], options: FilterOptions, progress: Progress) -> list[Sifted]:
    """Measure every mask; what is kept is read as a whole, so that no broken image gets in.

    Args:
        sets: The data sets.
        options: What is kept.
        progress: Is told of the stage ``measure`` how many pairs of all are done.

    Returns:
        For each data set, its pairs that are kept, those that are not, and what is wrong with
        others.
    """
    total, done = sum(len(data.pairs) for data in sets), 0
    found: list[Sifted] = []
    for data in sets:
        kept: list[Measured] = []
        dropped: list[Measured] = []
        faults: list[str] = []
        for pair in data.pairs:
            try:
                measured = measure(pair, options.threshold)
                area = measured.area_fraction
                wanted = area > 0 and options.min_area <= area <= options.max_area
                if wanted:
                    decode(pair.image, "RGB")
                (kept if wanted else dropped).append(measured)
            except DataError as error:
                faults.append(str(error))
            done += 1
            progress("measure", done, total)
        found.append(Sifted(data, tuple(kept), tuple(dropped), tuple(faults)))
    return found


def refuse_faults(found: Sequence[Sifted]) -> None:
    """Raise if, of any data set, more than one pair and more than 5 % cannot be used.

    Raises:
        DataError: With the first reason.
    """
    for each in found:
        total = len(each.data.pairs)
        if len(each.faults) > max(1, MOST_BROKEN * total):
            raise DataError(
                f"{len(each.faults)} of {total} pairs in '{each.data.images}' cannot be used: "
                f"{each.faults[0]}"
            )


def refuse_none(source: Path, found: Sequence[Sifted], options: FilterOptions) -> None:
    """Raise if nothing is kept.

    Raises:
        DataError: With the range of areas that are there.
    """
    if any(each.kept for each in found):
        return
    areas = sorted(m.area_fraction for each in found for m in each.dropped if m.area_fraction)
    asked = f"{options.min_area:.3%} to {options.max_area:.3%}"
    if not areas:
        raise DataError(f"nothing is left of '{source}': no mask has an object")
    raise DataError(
        f"nothing is left of '{source}': no object covers {asked} of its image; they cover "
        f"{areas[0]:.3%} to {areas[-1]:.3%}, see --min-area and --max-area"
    )
