"""Code of the user that ends the program, prints or warns: its doing is told, never taken over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import run_program

pytest.importorskip("torch")

NET = """
import os, sys, warnings
from torch import nn
{top}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
    def forward(self, x):
        {forward}
        return self.conv(x)
def make():
    {call}
    return Net()
"""
EXPORT = ("export", "{name}:make", "--input", "1x3x8x8", "-o", "out.onnx")
ENDS = {"sys.exit()": 0, "sys.exit(0)": 0, "sys.exit(3)": 3, "exit(70)": 70, "sys.exit('no')": "no"}


@pytest.fixture
def export(request):
    """Write a module of the user, and return the command that exports it."""

    def write(top="", forward="pass", call="pass"):
        name = f"net{abs(hash((request.node.name, top, forward, call)))}"
        Path(f"{name}.py").write_text(NET.format(top=top, forward=forward, call=call))
        return tuple(part.format(name=name) for part in EXPORT)

    return write


@pytest.mark.parametrize("where", ["top", "call"])
@pytest.mark.parametrize(("end", "code"), ENDS.items(), ids=ENDS)
def test_a_factory_that_ends_the_program_is_a_usage_error_with_its_code(
    refused, export, where, end, code
):
    line = refused_beside_caches(refused, export(**{where: end}), 2)
    assert line.endswith(f"it would end this program (SystemExit: {code})")
    assert not Path("out.onnx").exists()


@pytest.mark.parametrize(("end", "code"), [("sys.exit(0)", 0), ("sys.exit(3)", 3)])
def test_a_module_that_ends_the_program_as_it_runs_is_an_error_with_its_code(
    refused, export, end, code
):
    line = refused_beside_caches(refused, export(forward=end), 1)
    assert line.startswith("Net fails in torch on inputs of ")
    assert line.endswith(f"it would end this program (SystemExit: {code})")


def refused_beside_caches(refused, command, code):
    """Run a command that must fail; Python keeps compiled modules where they are."""
    import sys

    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return refused(*command, code=code)
    finally:
        sys.dont_write_bytecode = before


LOUD = ("print('to stdout'); os.system('echo started'); warnings.warn('mind this'); "
        "print('to stderr', file=sys.stderr)")  # fmt: skip


@pytest.mark.parametrize("where", ["top", "call"])
def test_what_a_factory_prints_is_not_in_the_json(export, where):
    done = run_program(*export(**{where: LOUD}), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == "out.onnx"
    assert sorted(done.stderr.splitlines()) == [
        "Note: UserWarning: mind this", "started", "to stderr", "to stdout",
    ]  # fmt: skip


def test_what_a_factory_prints_is_not_in_the_json_within_one_process(run, export):
    done = run(*export(call="print('to stdout')"), "--json")
    assert json.loads(done.stdout)["output"] == "out.onnx"
    assert done.stderr == "to stdout\n"


LOSS = """
import sys
def mine(outputs, mask, teacher):
    {body}
    return next(iter(outputs.values())).mean()
"""
TRAIN = ("--epochs", 1, "--size", 32, "--samples", 4, "--no-evaluate", "-o", "out.onnx")


@pytest.mark.parametrize(("end", "code"), [("sys.exit(0)", 0), ("sys.exit(3)", 3)])
def test_a_loss_that_ends_the_program_is_a_usage_error_with_its_code(run, model, end, code):
    name = f"loss{code}"
    Path(f"{name}.py").write_text(LOSS.format(body=end))
    done = run("finetune", model, "--loss", f"{name}:mine", *TRAIN)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: loss '{name}:mine' fails on the outputs ")
    assert done.stderr.endswith(f"it would end this program (SystemExit: {code})\n")
    assert not Path("out.onnx").exists()


OWN = """
class Mute(Exception):
    def __str__(self): raise RuntimeError("no text")
class Own(BaseException): pass
"""
ODD = {
    "raise Mute": "Mute: its text cannot be read (RuntimeError)",
    "raise GeneratorExit('stop')": "GeneratorExit: stop",
    "raise Own('a\\nb')": "Own: a b",
}


@pytest.mark.parametrize(("end", "said"), ODD.items(), ids=ODD)
def test_a_loss_that_raises_what_nobody_raises_is_a_usage_error(run, model, end, said):
    name = f"odd{list(ODD).index(end)}"
    Path(f"{name}.py").write_text(OWN + LOSS.format(body=end))
    done = run("finetune", model, "--loss", f"{name}:mine", *TRAIN)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: loss '{name}:mine' fails on the outputs ")
    assert done.stderr.endswith(f": {said}\n")
    assert not Path("out.onnx").exists()


@pytest.mark.parametrize(
    ("where", "code"), [("top", 2), ("call", 2), ("forward", 1)], ids=lambda given: given
)
def test_a_factory_or_module_that_raises_what_nobody_raises_is_an_error(
    refused, export, where, code
):
    line = refused_beside_caches(refused, export(**{where: "raise GeneratorExit('stop')"}), code)
    assert line.endswith("GeneratorExit: stop")


def test_ctrl_c_within_a_loss_is_no_error_of_the_loss(run, model):
    Path("halted.py").write_text(LOSS.format(body="raise KeyboardInterrupt"))
    done = run("finetune", model, "--loss", "halted:mine", *TRAIN)
    assert done.stderr.strip() == "Aborted!"  # click's word for it, within one process


def test_what_a_loss_prints_is_not_in_the_json(model):
    Path("loud.py").write_text(LOSS.format(body="print('loss')"))
    done = run_program("finetune", model, "--loss", "loud:mine", *TRAIN, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == "out.onnx"
    assert {*done.stderr.split()} == {"loss"}
