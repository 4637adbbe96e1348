"""The recorded help of every command."""

from __future__ import annotations

import click
import pytest

from wrg_onnx import __version__
from wrg_onnx.cli import main
from wrg_onnx.cli.app import COMMANDS

CONTEXT = click.Context(main)


def test_the_commands_are_those_recorded_here():
    assert main.list_commands(CONTEXT) == [
        "bench", "cache", "completion", "export", "finetune", "inspect", "prune", "report", "sweep",
        "tsod",
        "validate",
    ]  # fmt: skip
    assert sorted(main.get_command(CONTEXT, "tsod").commands) == ["filter", "make"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_in_the_table_is_that_of_the_command(name):
    assert main.get_command(CONTEXT, name).short_help == COMMANDS[name]


@pytest.mark.parametrize("command", ["", *sorted(COMMANDS), "tsod filter", "tsod make"])
def test_help_is_as_recorded(run, golden, command):
    done = run(*command.split(), "--help")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "\\b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    golden(
        f"help_{command.replace(' ', '_') or 'wrg-onnx'}.txt",
        done.stdout.replace("Usage: main", "Usage: wrg-onnx"),
    )


def test_the_version_is_printed(run):
    assert run("--version").stdout.strip() == f"wrg-onnx, version {__version__}"
