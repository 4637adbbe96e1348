"""The state of a run in one file that is whole or not there; tensors and JSON, no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrg_onnx.errors import DataError, MissingPackageError, OutputError, UsageError, one_line
from wrg_onnx.files import check_output, open_kept, renamed
from wrg_onnx.finetune.options import CheckpointFile
from wrg_onnx.graph import Graph, flatten

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

_NAME = "wrg-onnx checkpoint"
_FORMAT = f"{_NAME} 3"

_COPIES = 6
"""How often a checkpoint holds the weights: those that the gradient moves, their average, those
from before training, those of the best epoch, and two moments."""

_BROKEN = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError)
"""What reading a broken file raises, beside errors of safetensors itself."""

_ANEW = "start anew with --force and without --resume"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        identity: What must be the same in the run that goes on, by name.
        state: Numbers, lists and texts.
        tensors: Weights, moments and generator states.
    """

    identity: Mapping[str, Any]
    state: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def check_checkpoint(file: CheckpointFile | None, others: Mapping[str, Path] | None = None) -> None:
    """Refuse a checkpoint early, before the work is done.

    Args:
        file: The checkpoint; None if there is to be none.
        others: The other files of the run, by what they are.

    Raises:
        UsageError: If it is one of these.
        OutputError: If there is one, and neither ``resume`` nor ``force`` is set, or it cannot be
            written.
        MissingPackageError: If safetensors is not installed.
    """
    if file is None:
        return
    for what, path in (others or {}).items():
        if path.resolve() == file.path.resolve():
            raise UsageError(f"checkpoint '{file.path}' is {what} of this run; name another file")
    if file.path.is_symlink():
        raise OutputError(
            f"checkpoint '{file.path}' is a link, which the first one written would replace: name "
            f"'{file.path.readlink()}' itself"
        )
    if file.path.is_dir():
        raise OutputError(
            f"checkpoint '{file.path}' is a folder; name a file, such as "
            f"'{file.path / 'run.safetensors'}'"
        )
    if os.path.lexists(file.path) and not (file.resume or file.force):
        raise OutputError(
            f"checkpoint '{file.path}' exists; --resume goes on from it, --force replaces it"
        )
    check_output(file.path, force=True, option="--checkpoint")
    _safetensors()


def checkpoint_bytes(graph: Graph) -> int:
    """Return about how many bytes a checkpoint of the training of a model has."""
    forms = flatten(graph).graph.constants.forms.values()
    return _COPIES * sum(
        form.size * max(form.dtype.itemsize, 4) for form in forms if form.dtype.kind == "f"
    )


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of the one before, in one move, for this user alone.

    Raises:
        OutputError: If it cannot be written; the one before is still there.
    """
    texts = {
        "format": _FORMAT,
        "identity": json.dumps(checkpoint.identity, sort_keys=True),
        "state": json.dumps(checkpoint.state),
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    texts["seal"] = _seal(texts, tensors)
    data = _safetensors().save(tensors, metadata=texts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with renamed(path, rights=0o600) as part, part.open("wb") as stream:
            stream.write(data)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"'{path}': cannot be written: {error.strerror or error}")


def read_checkpoint(path: Path, identity: Mapping[str, Any], *, anew: str = _ANEW) -> Checkpoint:
    """Read a checkpoint of this very run.

    Args:
        path: The file.
        identity: What this run is.
        anew: What to do to start anew, in words.

    Raises:
        DataError: If the file cannot be read, is no checkpoint, or not as it was written.
        UsageError: If it is of another model, teacher or data, or of other options.
    """
    texts, tensors = _read(path, anew)
    known = str(texts.get("format"))
    if known != _FORMAT:
        what = "a checkpoint of another version" if known.startswith(_NAME) else "not a checkpoint"
        raise DataError(f"'{path}': {what} of wrg-onnx; {anew}, or name another file")
    damaged = damage(path, "it is not as it was written", anew)
    if set(texts) != {"format", "identity", "state", "seal"}:
        raise damaged
    seal = texts.pop("seal")
    if seal != _seal(texts, tensors):
        raise damaged
    try:
        found, state = json.loads(texts["identity"]), json.loads(texts["state"])
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not (isinstance(found, dict) and isinstance(state, dict)):
        raise damaged
    for name, value in json.loads(json.dumps(identity)).items():
        if found.get(name) != value:
            raise UsageError(
                f"'{path}' is the checkpoint of another run: its {name} is "
                f"{_shown(found.get(name))}, here it is {_shown(value)}; {anew}, or name another "
                "file"
            )
    return Checkpoint(found, state, tensors)


def _read(path: Path, anew: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the texts and the tensors of a file.

    Raises:
        DataError: If it cannot be read, or is not such a file.
    """
    package = _safetensors()
    try:
        with open_kept(path) as stream:
            data = stream.read()
    except OSError as error:
        raise DataError(f"'{path}': cannot be read: {error.strerror or error}") from error
    try:
        tensors = package.load(data)
        size = int.from_bytes(data[:8], "little")
        texts = json.loads(data[8 : 8 + size]).get("__metadata__") or {}
    except Exception as error:
        if not (type(error).__module__.startswith("safetensors") or isinstance(error, _BROKEN)):
            raise
        raise DataError(
            f"'{path}': no checkpoint, or a truncated one ({one_line(error)}); {anew}, or "
            "name another file"
        ) from error
    return texts, tensors


def damage(path: Path, what: str, anew: str = _ANEW) -> DataError:
    """Return the error of a checkpoint that cannot be gone on from.

    Args:
        path: The file.
        what: What is wrong with it.
        anew: What to do to start anew, in words.
    """
    return DataError(f"'{path}': a damaged checkpoint: {what}; {anew}, or name another file")


def _seal(texts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of all that a checkpoint holds beside it: texts, and tensors on the CPU."""
    import torch

    found = hashlib.sha256()
    for name in sorted(texts):
        found.update(f"{name} {len(texts[name])} {texts[name]}".encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(
            f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode("utf-8", "surrogatepass")
        )
        flat = tensor.reshape(-1)
        if flat.numel() < 2:  # whose stride may be anything, and a view wants 1
            flat = flat.clone(memory_format=torch.contiguous_format)
        found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()


def with_part_names(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Put the tensors of several parts, by part and name, under one name each."""
    return {f"{part}/{name}": t for part, tensors in parts.items() for name, t in tensors.items()}


def of_part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of one part by their own names."""
    prefix = f"{part}/"
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def moments_of(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer has gathered of each weight, by the weight's number and a name."""
    state = optimizer.state_dict()["state"]
    return {f"{index}/{name}": t for index, found in state.items() for name, t in found.items()}


def load_moments(optimizer: Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Give an optimizer what ``moments_of`` returned; its groups stay as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in moments.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ModuleNotFoundError as error:
        raise MissingPackageError("safetensors", purpose="a checkpoint", extra="torch") from error
    return safetensors.torch
