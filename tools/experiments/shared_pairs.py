"""Folders of the real image and mask pairs, by split, data set and size of the objects.

    python tools/experiments/shared_pairs.py build/real --max-area 0.05

writes build/real/train and build/real/val, each with images/ and masks/ of links. The pairs are
those of ../shared/data/saliency, which may not be redistributed; their index says which train and
which judge, frames of one film always on the same side.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ALL_SETS = ("SOD300", "DAVIS2016-val", "SD-saliency-900", "MT-Defect", "SIRST-V2")
SPLITS = ("train", "val")


def link(
    split: str, sets: Sequence[str], folder: Path, areas: tuple[float, float] = (0.0, 1.0)
) -> Path:
    """Make a data folder of the pairs of one split, with objects of some share of the area.

    Args:
        split: ``"train"`` or ``"val"``.
        sets: The data sets.
        folder: Gets images/ and masks/ with a link for each pair.
        areas: The least and the largest share of the pixels on objects.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds images or masks.
        FileNotFoundError: If the pairs are not there.
    """
    with (DATA / "saliency" / "index.csv").open(encoding="utf-8") as stream:
        chosen = [
            row
            for row in csv.DictReader(stream)
            if row["dataset"] in sets
            and row["split"] == split
            and areas[0] <= float(row["area_fraction"]) <= areas[1]
        ]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for row in chosen:
        name, source = row["name"], DATA / "saliency" / row["dataset"]
        image = next((source / "images").glob(f"{name}.*"))
        flat = f"{row['dataset']}_{name}".replace("/", "_")
        (folder / "images" / f"{flat}{image.suffix}").symlink_to(image)
        (folder / "masks" / f"{flat}.png").symlink_to(source / "masks" / f"{name}.png")
    return folder


def main() -> None:
    """Write the folders of both splits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="gets train/ and val/")
    parser.add_argument("--max-area", type=float, default=1.0, help="largest share of objects (1)")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there; nothing was written")
    try:
        for split in SPLITS:
            folder = link(split, ALL_SETS, options.output / split, (0.0, options.max_area))
            print(f"{folder}: {len(list((folder / 'images').iterdir()))} pairs")
    except FileExistsError as error:
        sys.exit(f"'{error.filename}' is there already: name a new folder")


if __name__ == "__main__":
    main()
