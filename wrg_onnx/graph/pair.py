"""A model file and the file of its weights take their places together.

No file system moves two files at once, and a model that is read with another one's weights is worse
than none. So a model that is there and has its weights where the new ones go is first pointed to a
copy of them. From then on each move leaves a whole model: the old one, or the new one. The copy has
to be one: ONNX Runtime and onnx refuse weights behind links.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from wrg_onnx.files import flush_folder, old_beside, remove_old, renamed
from wrg_onnx.graph.records import tensors


@contextmanager
def renamed_pair(model: Path, data: Path) -> Iterator[tuple[Path, Path]]:
    """Give two temporary paths that take the places of a model and its weights when all went well.

    Args:
        model: The file of the model.
        data: The file of its weights, beside it. A copy of what is there is needed for a moment.

    Raises:
        OSError: If they cannot be written or moved; a model that was there is still whole.
    """
    # Left from the inside out: the weights take their place first.
    with renamed(model) as model_part, renamed(data) as data_part:
        yield model_part, data_part
        set_aside(model, data)
    remove_old(data)  # also of a run that was stopped in between


def set_aside(model: Path, data: Path) -> Path | None:
    """Point a model that is there to a copy of its weights.

    Args:
        model: Its file; anything else that is there stays as it is.
        data: The file whose place will be taken.

    Returns:
        The copy; None if the model does not read that file.

    Raises:
        OSError: If there is no room for the copy; the model is still as it was.
    """
    if not (model.is_file() and data.is_file()):
        return None
    try:
        message = onnx.load_model(model, load_external_data=False)
    except DecodeError:  # no model: nothing reads the weights
        return None
    found = [
        entry
        for tensor in tensors(message.graph)
        for entry in tensor.external_data
        if entry.key == "location" and Path(entry.value) == Path(data.name)
    ]
    if not found:
        return None
    copy = old_beside(data)
    try:
        with data.open("rb") as source, copy.open("xb") as target:
            shutil.copyfileobj(source, target, 2**22)
            target.flush()
            os.fsync(target.fileno())
        for entry in found:
            entry.value = copy.name
        with renamed(model) as part:
            part.write_bytes(message.SerializeToString())
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def take_places(parts: Sequence[Path], model: Path) -> None:
    """Move a finished model, and the files of its weights, to their places.

    Args:
        parts: On the same disk, by the names that they keep; the model's is that of ``model``.
        model: Where the model goes; the others go beside it.

    Raises:
        OSError: If one cannot be moved; a model that was there is still whole.
    """
    weights = [part for part in parts if part.name != model.name]
    for part in parts:
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
    for part in weights:
        set_aside(model, model.with_name(part.name))
        part.replace(model.with_name(part.name))
    model_part = next(part for part in parts if part.name == model.name)
    model_part.replace(model)
    flush_folder(model.parent)
    for part in weights:
        remove_old(model.with_name(part.name))
