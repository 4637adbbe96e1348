"""Read archives of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.graph.errors import UnreadableError
from wrg_onnx.tsod.pictures import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load_arrays(file: Path) -> dict[str, NDArray[np.generic]]:
    """Read all arrays of an ``.npz`` file, never a pickled object.

    Raises:
        UnreadableError: If it cannot be read.
    """
    # Given a path, NumPy would leave the file open where the archive is broken.
    with reading(file), file.open("rb") as stream:
        archive = np.load(stream, allow_pickle=False)
        if isinstance(archive, np.lib.npyio.NpzFile):
            return {name: archive[name] for name in archive.files}
    raise UnreadableError(f"cannot read '{file}': not an .npz archive")
