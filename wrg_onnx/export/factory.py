"""From ``module:function`` and a state dict to a torch module."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wrg_onnx.errors import MissingPackageError, ModelError, UsageError, one_line

_SEED = 0
_NAMED_KEYS = 3


def build_module(factory: str) -> nn.Module:
    """Import ``module:function`` with the current folder on the path, and call it.

    Args:
        factory: Such as ``models.small_unet:small_unet``. Random weights are drawn under a fixed
            seed; the caller's random state is untouched.

    Returns:
        The module, as the factory makes it.

    Raises:
        UsageError: If there is no such module or function, or it does not return a module.
    """
    with _current_folder_importable():
        build = load_function(factory, "factory", "models.small_unet:small_unet")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            try:
                module = build()
            except Exception as error:
                raise UsageError(
                    f"factory '{factory}' fails when called with no arguments: "
                    f"{type(error).__name__}: {one_line(error)}"
                ) from error
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"factory '{factory}' must return a torch.nn.Module, got {type(module).__name__}"
        )
    return module


def load_function(spec: str, what: str, example: str) -> Callable[..., Any]:
    """Import ``module:function`` with the current folder on the path.

    Args:
        spec: The module and the function.
        what: What messages call it, such as ``"factory"``.
        example: One that is right, for messages.

    Returns:
        The function, or whatever else can be called.

    Raises:
        UsageError: If there is no such module or function.
    """
    name, _, function = spec.partition(":")
    if not name or not function or "/" in name or name.endswith(".py"):
        raise UsageError(f"a {what} is written module:function, such as {example}; got '{spec}'")
    with _current_folder_importable():
        found = getattr(_import(name, f"{what} '{spec}'"), function, None)
    if not callable(found):
        raise UsageError(f"{what} '{spec}': module '{name}' has no function '{function}'")
    loaded: Callable[..., Any] = found
    return loaded


def load_weights(module: nn.Module, path: Path) -> None:
    """Load a state dict into a module; every key must be there, and no other.

    Args:
        module: The module that receives the weights.
        path: A ``.safetensors`` file, or what ``torch.save`` makes of a state dict.

    Raises:
        ModelError: If the file cannot be read without running code, or does not fit the module.
        MissingPackageError: If it is a ``.safetensors`` file and safetensors is not installed.
    """
    weights = read_weights(path)
    own = module.state_dict()
    missing = [key for key in own if key not in weights]
    unexpected = [key for key in weights if key not in own]
    shapes = [
        f"{key} {list(weights[key].shape)} for {list(own[key].shape)}"
        for key in own
        if key in weights and weights[key].shape != own[key].shape
    ]
    problems = [
        f"{len(found)} {kind} ({first_names(found)})"
        for kind, found in [
            ("missing", missing), ("unexpected", unexpected), ("of another shape", shapes),
        ]
        if found
    ]  # fmt: skip
    if problems:
        raise ModelError(
            f"'{path}': its state dict does not fit {type(module).__name__}, keys: "
            f"{'; '.join(problems)}; export the factory that made the file"
        )
    module.load_state_dict(dict(weights))


def _import(name: str, label: str) -> Any:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        wanted = error.name or name
        if name == wanted or name.startswith(f"{wanted}."):
            raise UsageError(
                f"{label}: no module '{wanted}' here or among the installed packages; "
                "run from the folder that holds it"
            ) from error
        raise UsageError(f"{label}: '{name}' imports '{wanted}', which is not installed") from error
    except Exception as error:
        raise UsageError(
            f"{label}: '{name}' cannot be imported: {type(error).__name__}: {one_line(error)}"
        ) from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict, as ``.safetensors`` or as what ``torch.save`` makes of it; no code is run.

    Raises:
        ModelError: If the file cannot be read, or holds something else.
        MissingPackageError: If it is a ``.safetensors`` file and safetensors is not installed.
    """
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"'{path}': cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"'{path}': holds more than tensors, or is no torch file, and reading it could run "
            "code; save module.state_dict() alone, with torch.save or safetensors"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"'{path}': not a torch file, or a truncated one") from error
    if not isinstance(weights, Mapping):
        raise ModelError(f"'{path}': must hold a state dict, got {type(weights).__name__}")
    others = [str(key) for key, value in weights.items() if not isinstance(value, Tensor)]
    if others:
        raise ModelError(
            f"'{path}': must hold a state dict of tensors, but {first_names(others)} are not "
            "tensors; save module.state_dict() alone"
        )
    return weights


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
