"""Loading what installed packages bring: by name when a user asks, or all of a kind at once.

A model never decides what is imported. Factors, criteria, losses and data sources are imported when
the command names them; rules and twin operators all together, whatever the model holds.
"""

from __future__ import annotations

import importlib
import re

from wrg_onnx.errors import ExtensionError, spoken
from wrg_onnx.extensions.kind import Kind
from wrg_onnx.extensions.scan import Extension, installed

_NAME = re.compile(r"[a-z][a-z0-9_-]+")

_ALL_LOADED: set[Kind] = set()

_FAILED: dict[tuple[Kind, str], ExtensionError] = {}
"""Of the kinds that are loaded at once, what could not be had, and why."""

_BROKEN: dict[str, str] = {}
"""Why a module could not be imported. Once more it would register twice what it did register."""


def check_name(kind: Kind, name: str) -> None:
    """Refuse a name that no option could be given.

    Raises:
        ValueError: If it is one.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"the name of a {kind.value} has two or more lower-case letters, digits, hyphens and "
            f"underscores, and begins with a letter: got '{name}'"
        )


def load_named(kind: Kind, name: str) -> Extension | None:
    """Import the module that an installed package names for something.

    Args:
        kind: What is asked for.
        name: By what name.

    Returns:
        What was found; None if no installed package has such an entry point.

    Raises:
        ExtensionError: If its module cannot be imported, or two packages bring one of that name.
    """
    several = installed(kind).get(name, ())
    if len(several) > 1:
        owners = " and ".join(sorted(one.owner for one in several))
        raise ExtensionError(f"{kind.value} '{name}' is brought by {owners}: uninstall one of them")
    for extension in several:
        _load(extension)
        return extension
    return None


def load_all(kind: Kind) -> None:
    """Import the modules of all entry points of a kind, once in a process.

    What fails is no error yet: it is one where it is needed (``raise_if_failed``).
    """
    if kind in _ALL_LOADED:
        return
    _ALL_LOADED.add(kind)  # first: a module may ask for what is registered while it is imported
    for name in sorted(installed(kind)):
        try:
            load_named(kind, name)
        except ExtensionError as error:
            _FAILED[kind, name] = error


def raise_if_failed(kind: Kind, name: str) -> None:
    """Say why something could not be had, where it is needed.

    Raises:
        ExtensionError: If its entry point failed.
    """
    if _FAILED and (kind, name) in _FAILED:
        raise _FAILED[kind, name]


def raise_if_missing(kind: Kind, name: str) -> None:
    """Say that something was not registered, if an entry point promises it.

    Raises:
        ExtensionError: If one does.
    """
    for extension in installed(kind).get(name, ()):
        raise ExtensionError(
            f"{extension} is not there: '{extension.point.value}' registers no {kind.value} of "
            "that name"
        )


def _load(extension: Extension) -> None:
    module = extension.point.module
    if module in _BROKEN:
        raise _problem(extension, _BROKEN[module])
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        _BROKEN[module] = spoken(error)
        raise _problem(extension, spoken(error)) from error
    try:
        extension.point.load()
    except AttributeError as error:
        raise _problem(extension, spoken(error)) from error


def _problem(extension: Extension, why: str) -> ExtensionError:
    return ExtensionError(
        f"{extension} cannot be loaded from '{extension.point.value}': {why}; mend or uninstall "
        "that package"
    )
