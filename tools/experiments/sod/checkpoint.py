"""The state of a training run in one file, which is whole or not there."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch

from wrg_onnx.errors import DataError, OutputError, UsageError
from wrg_onnx.files import renamed

Run: TypeAlias = Mapping[str, int | float | bool | str]
"""What a run must have in common with one that it goes on from."""

_BROKEN = (
    pickle.UnpicklingError,
    RuntimeError,  # an archive that is cut off
    EOFError,
    LookupError,  # a pickle that takes what was never put there
    TypeError,
    ValueError,
    AttributeError,
)


def save_checkpoint(path: Path, run: Run, step: int, state: Mapping[str, Any]) -> None:
    """Write a checkpoint in the place of the one before, in one move.

    Args:
        path: The file; missing folders are made.
        run: What this run is.
        step: Steps done.
        state: State dicts by name.

    Raises:
        OutputError: If it cannot be written; the one before is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with renamed(path) as part:
            torch.save({"run": dict(run), "step": step, "state": dict(state)}, part)
    except OSError as error:
        raise OutputError(f"'{path}': cannot be written: {error.strerror or error}") from error


def read_checkpoint(path: Path, run: Run) -> tuple[int, Mapping[str, Any]]:
    """Read a checkpoint of this very run; no code in it is run.

    Returns:
        The steps done, and the state dicts.

    Raises:
        DataError: If the file cannot be read, or is no checkpoint.
        UsageError: If it is of another run; what differs first is named.
    """
    try:
        with warnings.catch_warnings():
            # Of another pickle's protocol: what it is not is told below.
            warnings.simplefilter("ignore", UserWarning)
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"'{path}': cannot be read: {error.strerror or error}") from error
    except _BROKEN as error:
        raise _unusable(path) from error
    match saved:
        case {"run": dict(found), "step": int(step), "state": dict(state)}:
            pass
        case _:
            raise _unusable(path)
    for name, value in run.items():
        if found.get(name) != value:
            raise UsageError(
                f"'{path}' is the checkpoint of another run: its {name} is "
                f"{found.get(name, 'not there')}, here it is {value}; remove it, or name another "
                "file"
            )
    return step, state


def _unusable(path: Path) -> DataError:
    return DataError(
        f"'{path}': no checkpoint of this script, or a truncated one; remove it, or name another "
        "file"
    )
