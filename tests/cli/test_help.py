"""The recorded help of every command."""

from __future__ import annotations

import pytest

from wrg_onnx import __version__
from wrg_onnx.cli import main


def test_the_commands_are_those_recorded_here():
    assert sorted(main.commands) == ["bench", "export", "finetune", "inspect", "prune", "validate"]


@pytest.mark.parametrize("command", ["", *sorted(main.commands)])
def test_help_is_as_recorded(run, golden, command):
    done = run(*([command] if command else []), "--help")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "\\b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    golden(
        f"help_{command or 'wrg-onnx'}.txt", done.stdout.replace("Usage: main", "Usage: wrg-onnx")
    )


def test_the_version_is_printed(run):
    assert run("--version").stdout.strip() == f"wrg-onnx, version {__version__}"
