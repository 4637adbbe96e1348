"""From a file of weights, or the checkpoint of a training script, to the weights of a module."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wrg_onnx.errors import MissingPackageError, ModelError, one_line
from wrg_onnx.files import open_ordinary

_NAMED_KEYS = 3
_DEEPEST = 3
"""How many dicts a state dict may lie in: ``{"model": {"state_dict": {...}}}`` is two."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A state dict in a file, or the part of one whose keys begin alike.

    Attributes:
        place: The keys that lead to it.
        prefix: What its keys begin with in the file.
        weights: By key without the prefix.
        others: How many tensors beside it have other keys.
    """

    place: tuple[str, ...]
    prefix: str
    weights: Mapping[str, Tensor]
    others: int

    def problems(self, own: Mapping[str, Tensor]) -> list[str]:
        """Say what keeps it from fitting a module; every key must be there, and no other."""
        missing = [key for key in own if key not in self.weights]
        unexpected = [key for key in self.weights if key not in own]
        shapes = [
            f"{key} {list(self.weights[key].shape)} for {list(own[key].shape)}"
            for key in own
            if key in self.weights and self.weights[key].shape != own[key].shape
        ]
        kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        return [f"{len(found)} {kind} ({first_names(found)})" for kind, found in kinds if found]

    def __str__(self) -> str:
        where = "".join(f"[{key!r}]" for key in self.place) or "the file's own"
        return f"{where}, '{self.prefix}*'" if self.prefix else where


def load_weights(module: nn.Module, path: Path) -> str | None:
    """Load the state dict of a file into a module.

    It may be wrapped as training scripts do, in dicts beside the optimiser's, and its keys may all
    begin with what a wrapper of the module adds, such as ``module.``.

    Args:
        module: The module that receives the weights.
        path: A ``.safetensors`` file, or what ``torch.save`` makes of a state dict or a checkpoint.

    Returns:
        Which part of the file was taken; None for all of it.

    Raises:
        ModelError: If the file cannot be read without running code, or if not exactly one state
            dict in it fits the module.
        MissingPackageError: If it is a ``.safetensors`` file and safetensors is not installed.
    """
    own = module.state_dict()
    found = [
        candidate
        for place, tensors in _state_dicts(_read(path), ())
        for candidate in _candidates(place, tensors, own)
    ]
    if not found:
        raise ModelError(
            f"'{path}': must hold a state dict of tensors, by itself or as training scripts wrap "
            "it; save module.state_dict() alone"
        )
    fitting = [candidate for candidate in found if not candidate.problems(own)]
    if not fitting:
        best = min(found, key=lambda one: len(own.keys() - one.weights.keys()))
        place = f" {best}" if best.place or best.prefix else ""
        raise ModelError(
            f"'{path}': its state dict{place} does not fit {type(module).__name__}, keys: "
            f"{'; '.join(best.problems(own))}; export the factory that made the file"
        )
    if len(fitting) > 1:
        raise ModelError(
            f"'{path}': {len(fitting)} state dicts in it fit {type(module).__name__}: "
            f"{' and '.join(map(str, fitting))}; save the one that is meant alone"
        )
    (taken,) = fitting
    module.load_state_dict(dict(taken.weights))
    if not taken.place and not taken.prefix:
        return None
    others = f", {taken.others} others beside it left out" if taken.others else ""
    return f"{taken} of '{path}'{others}"


def _state_dicts(
    content: object, place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Tensor]]]:
    """Yield the tensors of each dict that has any under names, and the keys that lead to it."""
    if not isinstance(content, Mapping):
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    if len(place) < _DEEPEST:
        for key, value in named.items():
            yield from _state_dicts(value, (*place, key))


def _candidates(
    place: tuple[str, ...], tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> Iterator[_Candidate]:
    """Yield the tensors of one dict, and those of them behind each prefix that fits a module's."""
    first = next(iter(own), "")  # is behind each prefix that can fit
    prefixes = {key.removesuffix(first) for key in tensors if first and key.endswith(f".{first}")}
    prefixes.add("")
    for prefix in sorted(prefixes):
        inside = {key.removeprefix(prefix): value for key, value in tensors.items()
                  if key.startswith(prefix)}  # fmt: skip
        yield _Candidate(place, prefix, inside, len(tensors) - len(inside))


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict, as ``.safetensors`` or as what ``torch.save`` makes of it; no code is run.

    Raises:
        ModelError: If the file cannot be read, or holds something else.
        MissingPackageError: If it is a ``.safetensors`` file and safetensors is not installed.
    """
    weights = _read(path)
    if not isinstance(weights, Mapping):
        raise ModelError(f"'{path}': must hold a state dict, got {type(weights).__name__}")
    others = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if others:
        raise ModelError(
            f"'{path}': must hold a state dict of tensors, but {first_names(others)} are not "
            "tensors; save module.state_dict() alone"
        )
    return weights


def _read(path: Path) -> Any:
    try:
        with open_ordinary(path) as stream:
            if path.suffix == ".safetensors":
                return _read_safetensors(path)
            return torch.load(stream, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"'{path}': cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"'{path}': holds more than tensors, or is no torch file, and reading it could run "
            "code; save module.state_dict() alone, with torch.save or safetensors"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"'{path}': not a torch file, or a truncated one") from error


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        import safetensors
        import safetensors.torch
    except ModuleNotFoundError as error:
        raise MissingPackageError("safetensors", purpose=f"'{path}'", extra="torch") from error
    try:
        weights: Mapping[str, Tensor] = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ModelError(
            f"'{path}': not a safetensors file, or a truncated one ({one_line(error)})"
        ) from error
    return weights


def first_names(names: Sequence[str]) -> str:
    """List names for a message: the first few of them."""
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED_KEYS])
    return shown + (", ..." if len(names) > _NAMED_KEYS else "")
