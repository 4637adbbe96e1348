"""What a command hands to its function, where a file of options lies about."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import wrg_onnx
from wrg_onnx.cli.app import COMMANDS, main

FUNCTIONS = {name: name for name in COMMANDS if name != "tsod"}
FUNCTIONS |= {"tsod make": "tsod_make", "tsod filter": "tsod_filter"}


@pytest.fixture(scope="session", autouse=True)
def commands_are_loaded():
    """Commands read their defaults off the functions themselves, not off what a test puts there."""
    import click

    for name in COMMANDS:
        main.get_command(click.Context(main), name)


@pytest.fixture
def write(folder):
    """Write a file of options; a name without a folder is found by commands."""

    def write_text(text, name="wrg.toml"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Path(name)

    return write_text


@pytest.fixture
def called(run, monkeypatch):
    """Run a command; return what its function was called with, without what is as by default.

    ``called.stderr`` is what it said before.
    """

    def call(name, *typed):
        calls, function = [], getattr(wrg_onnx, FUNCTIONS[name])
        signature = inspect.signature(function)

        def spy(*args, **kwargs):
            calls.append(signature.bind(*args, **kwargs))
            raise wrg_onnx.ShareDone  # nothing is printed

        with monkeypatch.context() as patch:
            patch.setattr(wrg_onnx, FUNCTIONS[name], spy)
            done = run(*name.split(), *typed)
        assert (done.exit_code, done.stdout) == (0, ""), done.output
        call.stderr = done.stderr
        (found,) = calls
        defaults = {name: one.default for name, one in signature.parameters.items()}
        return {
            name: value
            for name, value in found.arguments.items()
            if name not in {"progress", "workers"} and value != defaults[name]
        }

    return call
