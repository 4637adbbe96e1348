"""From ``module:function`` to a torch module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wrg_onnx.errors import UsageError, spoken

_SEED = 0


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
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise UsageError(
                    f"factory '{factory}' fails when called with no arguments: {spoken(error)}"
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
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(f"{label}: '{name}' cannot be imported: {spoken(error)}") from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
