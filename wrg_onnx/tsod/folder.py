"""The folder of a set: what it holds, and how it appears whole or not at all."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.files import check_output, exchange, part_folder, renamed
from wrg_onnx.progress import Progress
from wrg_onnx.tsod.sheet import Tile, write_sheet

IMAGES, MASKS, INDEX, README, SHEET = "images", "masks", "index.csv", "README.md", "sheet.png"


@dataclass(frozen=True, slots=True)
class About:
    """What a set holds besides its images and masks.

    Attributes:
        titles: The first line of the index.
        rows: A line of the index per image.
        readme: The text of ``README.md``.
        tiles: What the picture sheet is drawn from, all images of the set.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[object]]
    readme: str
    tiles: Sequence[Tile]


def holds(folder: Path, path: Path) -> bool:
    """Tell whether a path is a folder, or lies in it, wherever links lead."""
    target = path.resolve()
    return folder.resolve() in (target, *target.parents)


def check_folder(path: Path, *, force: bool) -> None:
    """Refuse an output folder early, before the work is done.

    Raises:
        OutputError: If something is there and ``force`` is off, or it is there and not a set that
            this module wrote, or it holds the current folder, or its parent cannot be written to.
    """
    if path.exists() or path.is_symlink():
        # Another folder in its place is not where the shell and this process still are.
        if holds(path, Path()):
            raise OutputError(f"'{path}' holds the current folder; --output names another one")
        if not path.is_dir():
            raise OutputError(f"'{path}' is not a folder; --output names another one")
        if not force:
            raise OutputError(f"'{path}' exists; --force replaces it, --output names another one")
        strange = sorted(
            entry.name
            for entry in path.iterdir()
            if entry.name not in {IMAGES, MASKS, INDEX, README, SHEET}
        )
        if strange:
            raise OutputError(
                f"'{path}' holds '{strange[0]}', which is no part of such a set, so it is not "
                f"replaced; --output names another folder"
            )
    parent = next(parent for parent in path.resolve().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"'{path}': '{parent}' is not a folder that can be written to")


def check_sheet(sheet: Path | None, output: Path, *, force: bool) -> None:
    """Refuse a path for the picture sheet early.

    Raises:
        UsageError: If its name does not end in .png, or it lies in the output folder.
        OutputError: If it exists and ``force`` is off, or its folder cannot be written to.
    """
    if sheet is None:
        return
    if sheet.suffix.lower() != ".png":
        raise UsageError(f"sheet '{sheet}' must end in .png, such as '{sheet.with_suffix('.png')}'")
    if output.resolve() in sheet.resolve().parents:
        raise UsageError(f"sheet '{sheet}' lies in the output; without --sheet, {SHEET} does")
    if sheet.exists() and not sheet.is_dir() and not force:
        raise OutputError(f"'{sheet}' exists; --force replaces it, --sheet names another file")
    check_output(sheet, force=True, option="--sheet")


def check_apart(output: Path, sheet: Path | None, sources: Iterable[Path]) -> None:
    """Refuse to write over what is read, which links may hide.

    Args:
        output: The folder that will be replaced.
        sheet: The file that will be, if any.
        sources: Folders and files that are read.

    Raises:
        OutputError: If the output holds one of them, or the sheet is one or lies in one.
    """
    for source in sources:
        if holds(output, source):
            raise OutputError(
                f"output '{output}' holds the data set: '{source}' lies there; "
                f"--output names another folder"
            )
        # A sheet that is a link is replaced itself, and not what it leads to.
        if sheet is not None and (holds(source, sheet) or holds(source, sheet.parent)):
            raise OutputError(f"sheet '{sheet}' lies in the data set; --sheet names another file")


@contextmanager
def whole_folder(path: Path, sheet: Path | None) -> Iterator[tuple[Path, Path]]:
    """Give a temporary folder that takes the place of ``path`` when all went well.

    It holds ``images/`` and ``masks/``. What was at ``path`` is removed at the very end.

    Args:
        path: The folder that shall appear. Missing parents are made.
        sheet: A file that shall appear with it; None for one in the folder.

    Yields:
        The temporary folder, and where to write the sheet.

    Raises:
        OutputError: If it cannot be written; what was at ``path`` is still there.
    """
    try:
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        with part_folder(target) as part:
            for name in (IMAGES, MASKS):
                (part / name).mkdir()
            if sheet is None:
                yield part, part / SHEET
            else:
                sheet.absolute().parent.mkdir(parents=True, exist_ok=True)
                with renamed(sheet) as sheet_part:
                    yield part, sheet_part
            _take_place(part, target)
    except OSError as error:
        raise OutputError(f"'{path}': cannot be written: {error.strerror or error}") from error


def _take_place(part: Path, target: Path) -> None:
    """Move a finished folder to where another may be, which goes last."""
    if not target.exists():
        part.rename(target)
        return
    if exchange(part, target):  # what was there goes with the temporary folder
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    try:
        old = target.rename(aside / target.name)
        try:
            part.rename(target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        with suppress(OSError):  # what could not be moved back is not removed
            aside.rmdir()


def write_about(folder: Path, sheet: Path, about: About, progress: Progress) -> int:
    """Write what a set holds besides its images and masks.

    Args:
        folder: Where the index and ``README.md`` go.
        sheet: Where the picture sheet goes.
        about: What they say and show.
        progress: Is told when the sheet begins.

    Returns:
        How many images are on the sheet.
    """
    # Names of files that are no UTF-8 are written as the bytes that they are.
    own = "surrogateescape"
    with (folder / INDEX).open("w", newline="", encoding="utf-8", errors=own) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(about.titles)
        writer.writerows(about.rows)
    (folder / README).write_text(about.readme, encoding="utf-8", errors=own)
    progress("sheet", 0, 1)
    return write_sheet(about.tiles, sheet)
