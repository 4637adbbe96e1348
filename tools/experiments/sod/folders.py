"""Folders of pairs that train and that judge, with nothing in both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sod.pool import Pool, read_pool
from wrg_onnx.data.dataset import split
from wrg_onnx.errors import DataError, UsageError


def check_folders(training: Sequence[Path], judged: Sequence[Path]) -> None:
    """Refuse what the names of folders show already, before anything is read.

    Args:
        training: Those that ``--data`` names.
        judged: Those that ``--judge`` names.

    Raises:
        UsageError: If a folder is named twice, or one judges and none trains.
    """
    if judged and not training:
        raise UsageError("--judge needs --data: a net that saw made images alone is judged on them")
    named: dict[Path, str] = {}
    for option, folders in (("--data", training), ("--judge", judged)):
        for folder in folders:
            place = folder.resolve()
            if place in named:
                raise UsageError(
                    f"{option} '{folder}' is the folder of {named[place]} already: name it once"
                )
            named[place] = f"{option} '{folder}'"


def read_pools(
    training: Sequence[Path], judged: Sequence[Path], side: int, *, share: float, seed: int
) -> tuple[Pool, Pool]:
    """Read the pairs that train, and those that judge.

    Args:
        training: At least one folder.
        judged: Folders; without any a share of the training pairs is held out.
        side: Height and width in pixels.
        share: Of the pairs that are held out, in (0, 1).
        seed: Which of them.

    Raises:
        UsageError: If there is no pair to hold out.
        DataError: If a folder cannot be used, or an image trains and judges.
    """
    whole = read_pool(training, side)
    if judged:
        pools = whole, read_pool(judged, side)
    elif len(whole) < 2:
        raise UsageError(f"one of the pairs is held out: {whole.content} are too few; use --judge")
    else:
        first, second = split(len(whole), share, seed)
        pools = whole.take(first.tolist()), whole.take(second.tolist())
    check_apart(*pools)
    return pools


def check_apart(training: Pool, judged: Pool) -> None:
    """Refuse images that are in both pools, pixel by pixel, whatever their names are.

    Raises:
        DataError: If there are any; the first is named.
    """
    trained = dict(zip(_hashes(training), training.names, strict=True))
    both = [
        (name, trained[found])
        for found, name in zip(_hashes(judged), judged.names, strict=True)
        if found in trained
    ]
    if both:
        raise DataError(
            f"{len(both)} of {len(judged)} images that judge are among those that train: "
            f"'{both[0][0]}' is '{both[0][1]}'; leave them out of one of the folders"
        )


def _hashes(pool: Pool) -> list[bytes]:
    return [hashlib.sha256(image.contiguous().numpy()).digest() for image in pool.images]
