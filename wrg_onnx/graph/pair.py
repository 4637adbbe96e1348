"""A model file and the file of its weights take their places together.

No file system moves two files at once, and a model that is read with another one's weights is worse
than none. So a model that is there and has its weights where the new ones go is first pointed to a
copy of them. From then on each move leaves a whole model: the old one, or the new one. The copy has
to be one: ONNX Runtime and onnx refuse weights behind links.

Between two moves of one run another one must not make its own, or one of them would get the weights
of the other; nor may it remove the copy. So the folder is locked from before the first move until
the copy is gone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from wrg_onnx.files import flush_folder, give_rights, locked, old_beside, remove_old, renamed
from wrg_onnx.graph.records import tensors


@contextmanager
def renamed_pair(model: Path, data: Path) -> Iterator[tuple[Path, Path]]:
    """Give two temporary paths that take the places of a model and its weights when all went well.

    Args:
        model: The file of the model.
        data: The file of its weights, beside it. A copy of what is there is needed for a moment.

    Raises:
        OSError: If they cannot be written or moved, or their folder stays locked; a model that was
            there is still whole.
    """
    with ExitStack() as turn:
        # Left from the inside out: the weights take their place first.
        with renamed(model) as model_part, renamed(data) as data_part:
            yield model_part, data_part
            _flush(model_part, data_part)
            turn.enter_context(locked(model.parent))
            set_aside(model, data)
        remove_old(data)  # also of a run that was stopped in between


@contextmanager
def renamed_single(model: Path, data: Path) -> Iterator[Path]:
    """Give a temporary path that takes the place of a model, and of the weights beside it, if any.

    Args:
        model: The file of the model, with all that is in it.
        data: Where its weights would be. What is there stays; copies that were set aside of it go.

    Raises:
        OSError: As ``renamed_pair``.
    """
    with ExitStack() as turn:
        with renamed(model) as part:
            yield part
            is_pair = data.is_file()
            if is_pair:  # which another run may be replacing just now
                _flush(part)
                turn.enter_context(locked(model.parent))
        if is_pair:
            remove_old(data)


def set_aside(model: Path, data: Path) -> Path | None:
    """Point a model that is there to a copy of its weights, for whom they were for.

    Args:
        model: Its file; anything else that is there stays as it is.
        data: The file whose place will be taken.

    Returns:
        The copy; None if the model does not read that file.

    Raises:
        OSError: If there is no room for the copy; the model is still as it was. If the disk fails
            later, it reads either of the two.
    """
    if not (model.is_file() and data.is_file()):
        return None
    try:
        message = onnx.load_model(model, load_external_data=False)
    except DecodeError:  # no model: nothing reads the weights
        return None
    found = _locations(message, data)
    if not found:
        return None
    copy = old_beside(data)
    try:
        _copy(data, copy)
        for entry in found:
            entry.value = copy.name
        origin = model.stat()
        with renamed(model, rights=0o600) as part, part.open("wb") as target:
            give_rights(target.fileno(), origin)
            target.write(message.SerializeToString())
    except BaseException:
        # Whatever ends this may have come behind the move of the model.
        if not _may_read(model, copy):
            copy.unlink(missing_ok=True)
        raise
    return copy


def take_places(parts: Sequence[Path], model: Path) -> None:
    """Move a finished model, and the files of its weights, to their places.

    Args:
        parts: On the same disk, by the names that they keep; the model's is that of ``model``.
        model: Where the model goes; the others go beside it.

    Raises:
        OSError: If one cannot be moved, or the folder stays locked; a model that was there is still
            whole.
    """
    weights = [part for part in parts if part.name != model.name]
    model_part = next(part for part in parts if part.name == model.name)
    _flush(*parts)
    with locked(model.parent) if weights else nullcontext():
        for part in weights:
            set_aside(model, model.with_name(part.name))
            part.replace(model.with_name(part.name))
        model_part.replace(model)
        flush_folder(model.parent)
        for part in weights:
            remove_old(model.with_name(part.name))


def _locations(message: onnx.ModelProto, file: Path) -> list[onnx.StringStringEntryProto]:
    """Return the entries of a model that say that weights are in a file."""
    return [
        entry
        for tensor in tensors(message.graph)
        for entry in tensor.external_data
        if entry.key == "location" and Path(entry.value) == Path(file.name)
    ]


def _may_read(model: Path, file: Path) -> bool:
    """Tell whether a model reads weights in a file; it may where that cannot be told."""
    try:
        return bool(_locations(onnx.load_model(model, load_external_data=False), file))
    except (OSError, DecodeError):
        return True


def _copy(file: Path, copy: Path) -> None:
    """Copy a file so that it lasts, and is at no time for more than may read the file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with file.open("rb") as source, os.fdopen(os.open(copy, flags, 0o600), "wb") as target:
        give_rights(target.fileno(), os.fstat(source.fileno()))
        shutil.copyfileobj(source, target, 2**22)
        target.flush()
        os.fsync(target.fileno())


def _flush(*files: Path) -> None:
    """Wait until files are on the disk, so that their moves take no time."""
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
