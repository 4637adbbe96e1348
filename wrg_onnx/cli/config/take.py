"""What a file of options says takes the place of a command's defaults.

What the command line says comes before, and so does what it makes senseless in the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from wrg_onnx.cli.config.file import ConfigFile, check_files, find_config
from wrg_onnx.cli.config.tables import OTHER_KEYS, SAID_BY_OTHERS, Given, read_options
from wrg_onnx.cli.config.values import is_same
from wrg_onnx.errors import UsageError
from wrg_onnx.printable import printable
from wrg_onnx.version import __version__

CONFIG_OPTIONS = (
    click.Option(
        ["--config"], type=click.Path(path_type=Path), metavar="FILE",
        help="Take options from this file: TOML, or what --json printed of a run. [wrg.toml, or "
        "[tool.wrg-onnx] in pyproject.toml]",
    ),
    click.Option(["--no-config"], is_flag=True, help="Look for no such file."),
)  # fmt: skip
"""The options of every command that say where others are."""

AIMS = ("ratio", "max_drop", "max_params", "max_macs", "max_bytes", "max_latency_ms")
"""Of these one is given; the command line's takes the place of a file's."""

LIMITS = AIMS[2:]

MODELS = frozenset({"model", "models", "original", "pruned", "teacher"})
"""Parameters that name models."""

_LONGEST = 80
"""Letters of a value that a note shows."""


def take_config(ctx: click.Context, args: list[str]) -> None:
    """Let a file set the options of a command that the command line does not.

    Args:
        ctx: Of the command, before it is parsed. Its ``default_map`` gets what the file says.
        args: What stands behind the command.

    Raises:
        UsageError: If there is such a file and something is wrong with it.
    """
    command, name, program = ctx.command, _name(ctx), ctx.find_root().command
    if not isinstance(program, click.Group):
        return  # the command stands for itself, and belongs to no program that has a file
    probe = click.Context(
        command, parent=ctx.parent, info_name=ctx.info_name, resilient_parsing=True
    )
    # What is wrong with the line itself is told when it is parsed for good.
    click.Command.parse_args(command, probe, list(args))
    typed = {
        option.name or ""
        for option in command.get_params(probe)
        if probe.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    }
    asks = command.get_help_option(probe)
    if asks is not None and asks.name in typed:
        return
    named: Path | None = probe.params["config"]
    if probe.params["no_config"]:
        if named is not None:
            raise UsageError(f"--config '{named}' and --no-config: give one of them")
        return
    config = find_config(named, name)
    if config is None:
        return
    given = read_options(program, name, config)
    for key in _left_out(typed, probe.params):
        given.pop(key, None)
    if not typed & MODELS:
        check_files(config)
    elif config.run is not None:
        given.pop("output", None)  # that of another model
    _tell(config, {key: one.raw for key, one in given.items()
                   if not _is_default(key, one.value, probe.params)})  # fmt: skip
    ctx.default_map = dict(_parameters(command, given))


def _name(ctx: click.Context) -> str:
    """Return the words of a command, without the program's."""
    words = [ctx.info_name or ""]
    while ctx.parent is not None and ctx.parent.parent is not None:
        ctx = ctx.parent
        words.append(ctx.info_name or "")
    return " ".join(reversed(words))


def _left_out(typed: AbstractSet[str], params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a file that the command line says otherwise, or leaves without a sense."""
    for name in typed:
        yield SAID_BY_OTHERS.get(name, OTHER_KEYS.get(name, name))
    aims = [name for name in AIMS if name in typed]
    if aims:
        yield from AIMS
        if "max_drop" not in aims:
            yield "metric"
        if set(aims) & set(LIMITS):
            yield "budget"
    if typed & {"half", "int8"}:
        yield from ("half", "int8")
    if "recover" in typed and params["recover"] != "finetune":
        yield "epochs"
    if "criterion" in typed:
        yield "amp"


def _is_default(key: str, value: Any, defaults: Mapping[str, Any]) -> bool:
    if key == "cache" and isinstance(value, bool):
        return value
    return is_same(value, defaults[_PARAMETER.get(key, key)])


_PARAMETER = {key: name for name, key in OTHER_KEYS.items()}


def _parameters(command: click.Command, given: Mapping[str, Given]) -> Iterator[tuple[str, Any]]:
    """Yield by parameter what click takes in place of the defaults."""
    names = {option.name for option in command.params}
    for key, one in given.items():
        if key != "cache" or not isinstance(one.value, bool):
            yield _PARAMETER.get(key, key), one.value
        elif "no_cache" in names:
            yield "no_cache", not one.value


def _tell(config: ConfigFile, shown: Mapping[str, Any]) -> None:
    """Say on stderr what a file has set; of several processes the first one does."""
    if os.environ.get("RANK", "0") != "0":
        return
    said = ", ".join(f"{key} = {_short(raw)}" for key, raw in shown.items())
    if said:
        click.echo(printable(f"Note: '{config.path}' sets {said}"), err=True)
    if config.run is not None and config.run.version != __version__:
        click.echo(
            printable(
                f"Note: '{config.path}' is of wrg-onnx {config.run.version}, and this is "
                f"{__version__}, which need not write the same bytes"
            ),
            err=True,
        )


def _short(raw: Any) -> str:
    text = json.dumps(raw, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
