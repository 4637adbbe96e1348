"""Values in a file: every option takes its own kind, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from wrg_onnx.cli.app import COMMANDS, main
from wrg_onnx.cli.config.tables import TYPED_ALONE
from wrg_onnx.cli.config.values import UnfitError, read_value

CONTEXT = click.Context(main)


def options():
    for name in COMMANDS:
        found = main.get_command(CONTEXT, name)
        for command in getattr(found, "commands", {name: found}).values():
            for option in command.params:
                if option.name not in TYPED_ALONE:
                    yield pytest.param(option, id=f"{name} {command.name} {option.name}")


@pytest.mark.parametrize("option", [*options()])
def test_every_option_refuses_what_is_no_value_of_any(option):
    for wrong in ([[[]]], [{"a": {}}], {"a": {"b": []}}):
        with pytest.raises(UnfitError):
            read_value(option, wrong, Path())


@pytest.mark.parametrize(
    ("command", "text", "found"),
    [
        ("prune", "size = 224", {"size": (224, 224)}),
        ("prune", 'size = "240x320"', {"size": (240, 320)}),
        ("prune", "size = [240, 320]", {"size": (240, 320)}),
        ("prune", "mean = [0.1, 0.2, 1]", {"mean": (0.1, 0.2, 1.0)}),
        ("prune", 'mean = "0.1,0.2,1"', {"mean": (0.1, 0.2, 1.0)}),
        ("prune", "std = 2", {"std": (2.0,)}),
        ("prune", "scale = 1", {"scale": 1.0}),
        ("prune", 'keep = "*head*"', {"keep": ("*head*",)}),
        ("prune", 'keep = ["a", "b"]', {"keep": ("a", "b")}),
        ("prune", "shape = { x = [1, 512], y = \"2x3\" }", {"shape": {"x": (1, 512), "y": (2, 3)}}),
        ("prune", 'shape = ["x=1x512"]', {"shape": {"x": (1, 512)}}),
        ("prune", "value = { sr = 16000 }", {"value": {"sr": 16000.0}}),
        ("prune", 'value = "sr=16000"', {"value": {"sr": 16000.0}}),
        ("prune", 'align = "auto"', {"align": "auto"}),
        ("prune", "align = 8", {"align": 8}),
        ("prune", 'max-macs = "300M"', {"max_macs": 3e8}),
        ("prune", "max-bytes = 1_000", {"max_bytes": 1000.0}),
        ("prune", "evaluate = false", {"evaluate": False}),
        ("prune", "half = true", {"half": True}),
        ("sweep", "ratios = [0.3, 0.5]", {"ratios": "0.3,0.5"}),
        ("sweep", "ratios = 0.3", {"ratios": "0.3"}),
        ("sweep", 'ratios = "0.2:0.4:0.1"', {"ratios": "0.2:0.4:0.1"}),
        ("sweep", 'criteria = ["sel", "l1"]', {"criteria": "sel,l1"}),
        ("bench", "batch = [1, 8]", {"batch": (1, 8)}),
        ("bench", "batch = 2", {"batch": (2,)}),
        ("bench", 'provider = "openvino"', {"provider": "openvino"}),
        ("finetune", "augment = false\nresume = true", {"augment": False, "resume": True}),
        ("tsod make", 'background = "sky"', {"background": ("sky",)}),
        ("tsod make", "size = [32, 48]", {"size": (32, 48)}),
        ("export", "input = [1, 3, 8, 8]", {"input": ((1, 3, 8, 8),)}),
        ("export", 'input = [[1, 3], "2x3"]', {"input": ((1, 3), (2, 3))}),
    ],
)  # fmt: skip
def test_values_are_written_as_toml_has_them_or_as_the_option_does(
    called, write, command, text, found
):
    write(f"[{command.replace(' ', '.')}]\n{text}\n")
    arguments = {"tsod make": (), "export": ("nets:small",)}.get(command, ("m.onnx",))
    made = called(command, *arguments)
    assert {name: made[name] for name in found} == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('ratio = "0.5"', "'prune.ratio' must be a number, got the text '0.5'"),
        ("ratio = true", "'prune.ratio' must be a number, got true"),
        ("ratio = [0.5]", "'prune.ratio' must be a number, got a list"),
        ("rounds = 2.5", "'prune.rounds' must be an integer, got 2.5"),
        ("rounds = false", "'prune.rounds' must be an integer, got false"),
        ("rounds = 0", "'prune.rounds' is refused: 0 is not in the range x>=1."),
        ("half = 1", "'prune.half' must be true or false, got 1"),
        ('evaluate = "no"', "'prune.evaluate' must be true or false, got the text 'no'"),
        ("data = 3", "'prune.data' must be a text, got 3"),
        ('data = "\\u0000"', "'prune.data' is refused: embedded null byte"),
        ("cache = 3", "'prune.cache' must be a text, got 3"),
        ("metric = 3", "'prune.metric' must be a text, got 3"),
        ("keep = [1]", "'prune.keep' must be a text, got 1"),
        ('budget = "flops"',
         "'prune.budget' is refused: 'flops' is not one of 'params', 'macs', 'bytes', 'latency'"),
        ("size = [1, 2, 3]",
         "'prune.size' is refused: expected a size such as 224 or 240x320, got '1x2x3'"),
        ("size = 1.5", "'prune.size' must be an integer, got 1.5"),
        ("shape = { x = -1 }",
         "'prune.shape' is refused: expected an input and its shape such as x=1x512, got 'x=-1'"),
        ("value = { x = true }", "'prune.value' must be a number, got true"),
        ("value = { x = nan }",
         "'prune.value' is refused: expected an input and a number such as sr=16000, got 'x=nan'"),
        ("scale = 1979-05-27", "'prune.scale' must be a number, got 1979-05-27"),
    ],
)  # fmt: skip
def test_another_kind_is_refused_with_file_key_and_what_is_there(refused, write, text, problem):
    write(f"[prune]\n{text}\n")
    assert refused("prune", "m.onnx", code=2) == f"'wrg.toml': {problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[prune]\nratoi = 1", "unknown key 'prune.ratoi': did you mean 'ratio'?"),
        ("[prune]\nmax-dorp = 1", "unknown key 'prune.max-dorp': did you mean 'max-drop'?"),
        ("[prune]\nmax_dorp = 1", "unknown key 'prune.max_dorp': did you mean 'max_drop'?"),
        ("[prune]\nzzzzzz = 1", "unknown key 'prune.zzzzzz'"),
        ("[prune]\nno-cache = true", "unknown key 'prune.no-cache': write cache = false"),
        ('[prune]\nout = "x"', "unknown key 'prune.out': did you mean 'output'?"),
        ("[prune]\nforce = true", "'prune.force' is for the command line alone (--force)"),
        ("[prune]\ndry-run = true", "'prune.dry-run' is for the command line alone (--dry-run)"),
        ("[cache]\nclear = true", "'cache.clear' is for the command line alone (--clear)"),
        ("[prune]\nmax-drop = 1\nmax_drop = 1",
         "'prune.max_drop' is there twice: with - and with _"),
        ("[pruen]\nratio = 1", "unknown key 'pruen': did you mean 'prune'?"),
        ("[tsod.mak]\n", "unknown key 'tsod.mak': did you mean 'make'?"),
        ("[tsod]\nmake = 1", "'tsod.make' is a command, and must be a table: [tsod.make]"),
        ("prune = 1", "'prune' is a command, and must be a table: [prune]"),
        ("ratio = 1", "'ratio' does not mean the same to all commands: write it below [prune]"),
        ("force = true", "'force' is for the command line alone (--force)"),
        ("providr = 'cpu'", "unknown key 'providr': did you mean 'provider'?"),
        ("[tool.wrg-onnx.prune]\nratio = 1",
         "[tool.wrg-onnx] is for pyproject.toml: leave it out, as in [prune]"),
        ("[sweep]\nratioss = 1", "unknown key 'sweep.ratioss': did you mean 'ratios'?"),
        ("[sweep]\nfloor = 'x'", "'sweep.floor' must be a number, got the text 'x'"),
    ],
)  # fmt: skip
def test_a_key_that_is_none_is_refused_whatever_command_it_is_of(refused, write, text, problem):
    write(f"{text}\n")
    assert refused("prune", "m.onnx", code=2) == f"'wrg.toml': {problem}"


def test_in_a_project_tables_are_called_as_they_are_there(refused, write):
    write("[tool.wrg-onnx]\nratio = 1\n", "pyproject.toml")
    line = refused("prune", "m.onnx", code=2)
    assert line.endswith("write it below [tool.wrg-onnx.prune]")


@pytest.mark.parametrize(("command", "key"), [("finetune", "loss"), ("export", "factory")])
def test_code_is_named_on_the_command_line_or_in_a_file_that_is(
    refused, called, write, command, key
):
    write(f'[{command}]\n{key} = "mine:own"\n')
    line = refused("inspect", "m.onnx", code=2)
    assert line == (
        f"'wrg.toml': '{command}.{key}' runs code, and this file was found, not named: give it on "
        "the command line, or --config wrg.toml"
    )
    typed = ("m.onnx",) if command == "finetune" else ("--input", "1x3")
    assert called(command, *typed, "--config", "wrg.toml")[key] == "mine:own"
