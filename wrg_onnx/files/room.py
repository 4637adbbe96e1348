"""Files that do not fit on their disk are refused before the work, not after it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from wrg_onnx.errors import OutputError
from wrg_onnx.files.check import nearest_folder


def check_room(needs: Mapping[Path, float], option: str = "--output") -> None:
    """Refuse files that do not fit on their disk.

    What is replaced gives no room: it stays until what is new is whole.

    Args:
        needs: How many bytes each file will have at least.
        option: Names another place.

    Raises:
        OutputError: If the files that go to one disk need more than is free there.
    """
    by_disk: dict[int, list[Path]] = {}
    for path in needs:
        by_disk.setdefault(nearest_folder(path).stat().st_dev, []).append(path)
    for paths in by_disk.values():
        needed, folder = sum(needs[path] for path in paths), nearest_folder(paths[0])
        free = shutil.disk_usage(folder).free
        if needed > free:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            raise OutputError(
                f"'{paths[0]}'{more}: at least {_shown(needed)} are needed, and the disk of "
                f"'{folder}' has {_shown(free)} free: free some, or name a place elsewhere "
                f"({option})"
            )


def _shown(size: float) -> str:
    return f"{size / 2**20:,.1f} MiB"
