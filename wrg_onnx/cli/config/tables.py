"""What the tables of a file say of the options of a command.

A file that is found in the current folder may come from a stranger, as the rest of the folder. So
it cannot say what may be replaced, nor name code to run.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from wrg_onnx.cli.config.file import PROJECT_FILE, ConfigFile
from wrg_onnx.cli.config.values import UnfitError, read_value

SHARED = frozenset(
    {"data", "size", "scale", "mean", "std", "order", "layout", "shape", "value", "keep", "only",
     "head_dims", "through_norms", "floor", "provider", "seed", "cache", "json"}
)  # fmt: skip
"""Options that mean the same to every command that has them: they may stand above the tables."""

APART = frozenset({"tsod make", "tsod filter"})
"""Commands whose options of these names mean something else: they take their own tables alone."""

TYPED_ALONE = frozenset({"force", "dry_run", "clear", "config", "no_config", "help", "version"})
"""Options of the command line alone: what is replaced, written or removed is asked each time."""

CODE = frozenset({"loss", "factory"})
"""What names code to run, which a file says only if the command line names the file."""

OTHER_KEYS: Mapping[str, str] = {"as_json": "json"}
"""Parameters whose option, and key, has another name."""

SAID_BY_OTHERS: Mapping[str, str] = {"no_cache": "cache", "out": "output"}
"""Parameters that say by another word what the value of a key says."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a file says of an option.

    Attributes:
        raw: As it is written.
        value: As the option takes it.
    """

    raw: Any
    value: Any


def read_options(program: click.Group, name: str, config: ConfigFile) -> dict[str, Given]:
    """Read the whole file, so that a mistake is told by whatever command meets it first.

    Args:
        program: The group of all commands.
        name: The words of the command whose options are wanted.
        config: The file.

    Returns:
        What it says of these options, by key.

    Raises:
        UsageError: If it says what no command takes.
    """
    own: dict[str, Given] = {}
    above: dict[str, Any] = {}
    for word, value in config.tables.items():
        # ``cache`` is a command, and an option of others.
        is_command = word in program.list_commands(click.Context(program))
        if not is_command or (word in SHARED and not isinstance(value, Mapping)):
            above[word] = value
            continue
        for table_name, table in _tables(program, word, value, config):
            read = _read_table(_command(program, table_name), table_name, table, config)
            own = read if table_name == name else own
    return _read_shared(program, name, above, config) | own


def _command(program: click.Group, name: str) -> click.Command:
    """Find a command by its words."""
    found: click.Command | None = program
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), word)
    assert found is not None
    return found


def _tables(
    program: click.Group, word: str, value: Any, config: ConfigFile
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name of each command below a word, and its table."""
    if not isinstance(value, Mapping):
        raise config.refusal(
            f"'{word}' is a command, and must be a table: {config.table_name(word)}"
        )
    group = _command(program, word)
    if not isinstance(group, click.Group):
        yield word, value
        return
    for part, table in value.items():
        if part not in group.commands:
            raise config.refusal(_unknown(f"{word}.{part}", part, group.commands))
        if not isinstance(table, Mapping):
            name = f"{word} {part}"
            raise config.refusal(
                f"'{word}.{part}' is a command, and must be a table: {config.table_name(name)}"
            )
        yield f"{word} {part}", table


def _read_table(
    command: click.Command, name: str, table: Mapping[str, Any], config: ConfigFile
) -> dict[str, Given]:
    """Read the options of one command."""
    options, found = _by_key(command), dict[str, Given]()
    for written, value in table.items():
        key, where = _key(written), f"{name.replace(' ', '.')}.{written}"
        if key in CODE and key in options and not config.is_named:
            raise config.refusal(
                f"'{where}' runs code, and this file was found, not named: give it on the "
                f"command line, or --config {config.path}"
            )
        if key not in options:
            raise config.refusal(_unknown(where, written, options))
        _add(found, key, where, _read(options[key], key, where, value, config), config)
    return found


def _read_shared(
    program: click.Group, name: str, above: Mapping[str, Any], config: ConfigFile
) -> dict[str, Given]:
    """Read what stands above the tables, as far as a command has such options."""
    options, found = _by_key(_command(program, name)), dict[str, Given]()
    for written, value in above.items():
        key = _key(written)
        if key not in SHARED:
            raise config.refusal(_unshared(program, written, config))
        if key in options and (key == "json" or name not in APART):
            read = _read(options[key], key, written, value, config)
            _add(found, key, written, read, config)
    return found


def _key(written: str) -> str:
    """Return a key as Python writes it: ``max-drop`` is ``max_drop``."""
    return written.replace("-", "_")


def _by_key(command: click.Command) -> dict[str, click.Parameter]:
    """Return the options that a file may hold, by key."""
    names = {option.name or "": option for option in command.params}
    return {
        OTHER_KEYS.get(name, name): option
        for name, option in names.items()
        if name not in TYPED_ALONE and name not in SAID_BY_OTHERS
    }


def _read(option: click.Parameter, key: str, where: str, value: Any, config: ConfigFile) -> Given:
    if key == "cache" and isinstance(value, bool):  # false is --no-cache
        return Given(value, value)
    try:
        return Given(value, read_value(option, value, config.folder))
    except UnfitError as error:
        raise config.refusal(f"'{where}' {error}") from error


def _add(found: dict[str, Given], key: str, where: str, given: Given, config: ConfigFile) -> None:
    if key in found:
        raise config.refusal(f"'{where}' is there twice: with - and with _")
    found[key] = given


def _unknown(where: str, written: str, known: Collection[str]) -> str:
    """Say that there is no such key, and which was meant."""
    key = _key(written)
    if key in TYPED_ALONE:
        return f"'{where}' is for the command line alone (--{key.replace('_', '-')})"
    if key == "no_cache":
        return f"unknown key '{where}': write cache = false"
    near = difflib.get_close_matches(SAID_BY_OTHERS.get(key, key), known, n=1)
    meant = near[0].replace("_", "-") if near and "-" in written else "".join(near)
    return f"unknown key '{where}'" + (f": did you mean '{meant}'?" if near else "")


def _unshared(program: click.Group, written: str, config: ConfigFile) -> str:
    """Say why something cannot stand above the tables."""
    key = _key(written)
    if written == "tool" and config.path.name != PROJECT_FILE:
        return "[tool.wrg-onnx] is for pyproject.toml: leave it out, as in [prune]"
    names = program.list_commands(click.Context(program))
    having = [name for name in names if key in _by_key(_command(program, name))]
    if having and key not in TYPED_ALONE:
        return (
            f"'{written}' does not mean the same to all commands: write it below "
            f"{config.table_name(having[0])}"
        )
    return _unknown(written, written, [*SHARED, *names])
