"""Every command calls its function of the API with the same arguments, and nothing else."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import wrg_onnx
from wrg_onnx.cli import main
from wrg_onnx.cli.app import COMMANDS
from wrg_onnx.cli.criterion import CriterionChoice
from wrg_onnx.cli.export import Shape
from wrg_onnx.cli.options import (
    Alignment,
    Amount,
    Counts,
    ImageSize,
    InputNumber,
    InputShape,
    Numbers,
    Place,
)

CONTEXT = click.Context(main)
OF_SHELLS_ALONE = {"completion"}
FUNCTIONS = {name: name for name in COMMANDS if name not in {"tsod", *OF_SHELLS_ALONE}}
FUNCTIONS |= {"tsod make": "tsod_make", "tsod filter": "tsod_filter"}
each_command = pytest.mark.parametrize("command", FUNCTIONS)

DISPLAY = {"as_json", "verbose"}
OF_FILES = {"config", "no_config"}
"""Options that say where other options are."""

ANOTHER_WORD = {"out": "output", "dry_run": "output", "no_cache": "cache"}
"""Options that say by another word what a parameter says."""

OF_PYTHON_ALONE = {"progress", "workers"}


def command_of(name):
    found = main
    for word in name.split():
        found = found.get_command(CONTEXT, word)
    return found


def signature_of(name):
    return inspect.signature(getattr(wrg_onnx, FUNCTIONS[name]))


def other_value(option):
    """Return a value that is not the default one: as typed, and as the function gets it."""
    kind, default = option.type, option.default
    known = {
        CriterionChoice: ("l1", "l1"), Shape: ("1x3x8x8", (1, 3, 8, 8)),
        ImageSize: ("48x64", (48, 64)), Numbers: ("3,2,1", (3.0, 2.0, 1.0)),
        Counts: ("1,8", (1, 8)), InputShape: ("x=1x2", ("x", (1, 2))),
        Amount: ("1.5M", 1.5e6), Alignment: ("8", 8),
        InputNumber: ("x=3.5", ("x", 3.5)), click.Path: ("some.onnx", Path("some.onnx")),
        Place: ("some:x//y", "some:x//y"),
    }  # fmt: skip
    if type(kind) in known:
        return known[type(kind)]
    if isinstance(kind, click.Choice):
        return (next(c for c in kind.choices if c != default),) * 2
    if kind.name.startswith("integer"):
        return "77", 77
    if kind.name.startswith("float"):
        return "0.77", 0.77
    return "a word", "a word"


def typed_and_expected(command, without=()):
    """Return every option with another value than its default, and what the function gets."""
    typed, expected = [], {}
    for option in command.params:
        if option.name in DISPLAY | OF_FILES or option.name in without:
            continue
        if isinstance(option, click.Option) and option.is_flag:
            off = option.secondary_opts
            typed.append(off[0] if off else option.opts[0])
            expected[option.name] = not off
            continue
        text, value = other_value(option)
        typed += [text] if isinstance(option, click.Argument) else [option.opts[0], text]
        if isinstance(option.type, (InputShape, InputNumber)):
            value = dict([value])
        elif getattr(option, "multiple", False) or option.nargs == -1:
            value = (value,)
        expected[option.name] = value
    return typed, expected


def called_with(monkeypatch, name, typed):
    """Run a command; return what its function was called with, by parameter."""
    signature, calls = signature_of(name), []

    def spy(*args, **kwargs):
        calls.append(signature.bind(*args, **kwargs).arguments)
        raise wrg_onnx.ShareDone  # nothing is printed

    command_of(name)  # is loaded now: it reads its defaults off the function itself
    monkeypatch.setattr(wrg_onnx, FUNCTIONS[name], spy)
    done = CliRunner(catch_exceptions=False).invoke(main, [*name.split(), *typed])
    assert (done.exit_code, done.output) == (0, "")
    (call,) = calls
    return {key: value for key, value in call.items() if key not in OF_PYTHON_ALONE}


@each_command
def test_each_option_arrives_under_its_own_name(monkeypatch, command):
    typed, expected = typed_and_expected(command_of(command), without=ANOTHER_WORD)
    assert called_with(monkeypatch, command, typed) == expected


@each_command
def test_options_and_parameters_have_the_same_names(command):
    options = {option.name for option in command_of(command).params} - DISPLAY - OF_FILES
    parameters = {*signature_of(command).parameters} - OF_PYTHON_ALONE
    assert {ANOTHER_WORD.get(name, name) for name in options} == parameters


@each_command
def test_options_and_parameters_have_the_same_defaults(command):
    found = command_of(command)
    needed = [
        part
        for option in found.params
        if option.required
        for part in ([option.opts[0]] * isinstance(option, click.Option) + [other_value(option)[0]])
    ]
    left_out = found.make_context(command, needed, parent=CONTEXT).params
    for name, parameter in signature_of(command).parameters.items():
        if parameter.default is parameter.empty or name in OF_PYTHON_ALONE | {"cache"}:
            continue
        default = left_out[name]
        assert (str(default) if isinstance(default, Path) else default) == parameter.default, name


@pytest.mark.parametrize(
    ("typed", "cache"),
    [((), True), (("--no-cache",), False), (("--cache", "here"), Path("here"))],
)
def test_prune_says_where_the_cache_is(monkeypatch, typed, cache):
    call = called_with(monkeypatch, "prune", ["m.onnx", "--ratio", "0.5", *typed])
    assert call["cache"] == cache


@pytest.mark.parametrize(
    ("typed", "output"),
    [
        ((), Path("m.pruned.onnx")), (("out.onnx",), Path("out.onnx")),
        (("-o", "out.onnx"), Path("out.onnx")), (("out.onnx", "--dry-run"), None),
    ],
)  # fmt: skip
def test_prune_takes_the_output_as_an_argument_or_an_option(monkeypatch, typed, output):
    call = called_with(monkeypatch, "prune", ["m.onnx", "--ratio", "0.5", *typed])
    assert call["output"] == output


def test_an_output_that_is_named_twice_is_a_usage_error():
    typed = ["prune", "m.onnx", "a.onnx", "-o", "b.onnx", "--ratio", "0.5"]
    done = CliRunner().invoke(main, typed)
    assert done.exit_code == 2
    assert "OUT 'a.onnx' and --output 'b.onnx' both name the output: give one" in done.stderr


@pytest.mark.parametrize(
    ("command", "typed", "output"),
    [
        ("finetune", ["m.pruned.onnx"], "m.pruned.tuned.onnx"),
        ("export", ["nets:small", "--input", "1x3"], "small.onnx"),
    ],
)
def test_a_model_is_written_beside_where_it_comes_from(monkeypatch, command, typed, output):
    assert called_with(monkeypatch, command, typed)["output"] == Path(output)
