"""The file that holds options: where it is, and what it says."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from wrg_onnx.errors import UsageError, one_line
from wrg_onnx.files import open_ordinary, read_ordinary

if TYPE_CHECKING:
    from wrg_onnx.report.origin import Run

OWN_FILE, PROJECT_FILE = "wrg.toml", "pyproject.toml"

PROJECT_TABLE = "wrg-onnx"
"""Below ``tool``."""

_OURS = (b"wrg-onnx", b"wrg_onnx")
"""What a project's file that speaks of this program holds."""

MOST_BYTES = 2**20
"""Of a file in TOML, which people write."""

MOST_RUN_BYTES = 2**24
"""Of a report in JSON, which has some lines for each layer."""

MOST_DOTS = 200
"""Of a line in TOML: what Python's reader takes for a key of many parts grows with their square."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file says of options.

    Attributes:
        path: The file.
        tables: Its tables by command, and between them the options that several commands share.
        is_named: Whether the command line names it; else it was found.
        folder: What relative paths in it count from.
        run: The run that it is the report of; None for a file that somebody wrote.
    """

    path: Path
    tables: Mapping[str, Any]
    is_named: bool
    folder: Path
    run: Run | None = None

    def table_name(self, command: str) -> str:
        """Return how the header of a command's table is written in this file."""
        prefix = f"tool.{PROJECT_TABLE}." if self.path.name == PROJECT_FILE else ""
        return f"[{prefix}{command.replace(' ', '.')}]"

    def refusal(self, problem: str) -> UsageError:
        """Return the error that says what is wrong with the file."""
        return UsageError(f"'{self.path}': {problem}")


def find_config(named: Path | None, command: str) -> ConfigFile | None:
    """Read the one file whose options count.

    Args:
        named: The file that the command line names. None looks in the current folder for
            ``wrg.toml``, and without one for a table in ``pyproject.toml``.
        command: Of which command a report in JSON must be.

    Returns:
        None where there is none.

    Raises:
        UsageError: If it cannot be read, is too large, or is something else.
    """
    if named is not None:
        return _read(named, command, is_named=True)
    for path in (Path(OWN_FILE), Path(PROJECT_FILE)):
        # A link to nowhere is a mistake, and is told.
        if os.path.lexists(path):
            found = _read(path, command, is_named=False)
            if found is not None:
                return found
    return None


def _read(path: Path, command: str, *, is_named: bool) -> ConfigFile | None:
    content = _content(path)
    if not is_named and path.name == PROJECT_FILE and not any(name in content for name in _OURS):
        return None  # whatever is wrong with it, it is none of ours
    try:
        # Some programs of Windows put a mark before what they write.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}': is no text in UTF-8 ({one_line(error)})") from error
    if is_named and (path.suffix == ".json" or text.lstrip().startswith("{")):
        run = _run_in(path, text, command)
        # Its paths are those of a command line, which count from where that was.
        return ConfigFile(path, _nested(command, run.config), is_named, Path(), run)
    if len(content) > MOST_BYTES:
        raise _too_large(path, MOST_BYTES)
    if any(line.count(".") > MOST_DOTS for line in text.split("\n")):
        raise UsageError(f"'{path}': a line of it has more than {MOST_DOTS} dots")
    try:
        tables: Mapping[str, Any] | None = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"'{path}': is no TOML: {one_line(error)}") from error
    if path.name == PROJECT_FILE:
        tables = _project_table(path, tables or {}, is_named=is_named)
        if tables is None:
            return None
    return ConfigFile(path, tables or {}, is_named, path.parent)


def _content(path: Path) -> bytes:
    most = MOST_RUN_BYTES if path.name not in (OWN_FILE, PROJECT_FILE) else MOST_BYTES
    try:
        return read_ordinary(path, most)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _too_large(path, most) from error
        raise UsageError(
            f"'{path}': cannot be read: {one_line(error.strerror or error)}"
        ) from error


def _too_large(path: Path, most: int) -> UsageError:
    return UsageError(f"'{path}': is larger than the {most >> 20} MiB that a file of options takes")


def _run_in(path: Path, text: str, command: str) -> Run:
    from wrg_onnx.report.origin import read_run  # the reports need what takes a second to import

    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"'{path}': is no JSON: {one_line(error)}") from error
    try:
        return read_run(plain, command)
    except ValueError as error:
        raise UsageError(f"'{path}' {error}") from error


def _nested(command: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options as the tables of a command: ``tsod make`` is a table in one."""
    given: Mapping[str, Any] = {name: value for name, value in config.items() if value is not None}
    for word in reversed(command.split()):
        given = {word: given}
    return given


def _project_table(
    path: Path, project: Mapping[str, Any], *, is_named: bool
) -> Mapping[str, Any] | None:
    """Return the table of this program; None where a file that was found has none."""
    tools = project.get("tool", {})
    if not isinstance(tools, Mapping):
        tools = {}
    found = tools.get(PROJECT_TABLE)
    if found is None:
        if "wrg_onnx" in tools:
            raise UsageError(
                f"'{path}': [tool.wrg_onnx] is read by nobody: did you mean [tool.{PROJECT_TABLE}]?"
            )
        if is_named:
            raise UsageError(f"'{path}': has no table [tool.{PROJECT_TABLE}]")
        return None
    if not isinstance(found, Mapping):
        raise UsageError(f"'{path}': 'tool.{PROJECT_TABLE}' must be a table")
    return found


def _sha256(stream: BinaryIO) -> str:
    found = hashlib.sha256()
    while part := stream.read(2**24):
        found.update(part)
    return found.hexdigest()


def check_files(config: ConfigFile) -> None:
    """Refuse to make a run again from a model that is another one by now.

    Raises:
        UsageError: If a file of the model is not the one that the report tells of.
    """
    for name, wanted in config.run.sha256.items() if config.run is not None else ():
        try:
            with open_ordinary(Path(name)) as stream:
                found = _sha256(stream)
        except (OSError, ValueError):
            continue  # whoever reads the model says what is wrong with it
        if found != wanted:
            raise config.refusal(
                f"'{name}' is not the file that it tells of: its SHA-256 begins with {found[:12]} "
                f"instead of {wanted[:12]}; name the model on the command line to take it all the "
                "same"
            )
