"""The recorded help of every command."""

from __future__ import annotations

import pytest

from wrg_onnx import __version__
from wrg_onnx.cli import main


def test_the_commands_are_those_recorded_here():
    assert sorted(main.commands) == [
        "bench", "cache", "export", "finetune", "inspect", "prune", "tsod", "validate",
    ]  # fmt: skip
    assert sorted(main.commands["tsod"].commands) == ["filter", "make"]


@pytest.mark.parametrize("command", ["", *sorted(main.commands), "tsod filter", "tsod make"])
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
