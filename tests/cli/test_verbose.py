"""``-v`` says on stderr what took how long, and what decided that."""

from __future__ import annotations

import json
import logging
import re
import threading

import click
import pytest

from wrg_onnx.cli import verbose
from wrg_onnx.logs import logger_of

SMALL = ("--size", 32, "--samples", 8)
PRUNE = ("prune", "m.onnx", "--ratio", 0.5, "--force", *SMALL)
LINE = re.compile(r" *\d+\.\d s  \S.*")


@pytest.fixture(autouse=True)
def file(model):
    assert model.exists()


def told(run, *command):
    """Return what is told on stderr, without the time before each line."""
    done = run(*command)
    assert done.exit_code == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(LINE.fullmatch(line) for line in lines), done.stderr
    return [line.partition(" s  ")[2] for line in lines]


def stages(lines):
    return [line.partition(" took ")[0] for line in lines if " took " in line]


def test_each_stage_is_told_with_its_seconds_when_it_ends(run):
    lines = told(run, *PRUNE, "-v", "--no-cache")
    assert stages(lines) == [
        "analyse", "data", "calibrate", "measure", "select", "rewrite", "validate", "recover",
        "evaluate", "latency", "save", "kernels", "report",
    ]  # fmt: skip
    took = [line.partition(" took ")[2] for line in lines if " took " in line]
    assert all(re.fullmatch(r"\d+\.\d s(?: \(\d+ of \d+\))?", text) for text in took)
    assert any(re.fullmatch(r"measure took .* \(8 of 8\)", line) for line in lines)


def test_what_decided_it_is_told(run):
    lines = "\n".join(told(run, *PRUNE, "--verbose", "--no-cache"))
    for words in (
        "32 of 53 units may go, in 2 layer widths",
        "8 generated images of tiny objects with masks for statistics and recovery, 2 to judge by",
        "the choice is made from 8 of 8 samples",
        "; at 2 input sizes",
        "2 layers were solved for on 8 samples",
        "this machine's kernels are timed",
    ):
        assert words in lines, lines
    assert re.search(r"the proof compared [1-9]\d* tensors", lines)


def test_what_an_earlier_run_has_measured_is_told(run):
    command = (*PRUNE, "-v", "--cache", "kept", "--no-evaluate")
    words = "what the layers make of 8 samples an earlier run has measured"
    assert words not in told(run, *command)
    assert words in told(run, *command)


def test_weights_alone_are_told(run):
    lines = told(run, *PRUNE, "-v", "--criterion", "l1", "--recover", "none", "--no-evaluate")
    assert "the choice is made from weights alone, without looking at samples" in lines


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("inspect", "m.onnx"), ["analyse", "reasons"]),
        (("bench", "m.onnx", "--size", 32, "--rounds", 2, "--profile"),
         ["load", "bench", "profile"]),
        (("validate", "m.onnx", "m.onnx", *SMALL), ["analyse", "evaluate", "latency"]),
        (("tsod", "make", "--count", 2, "--size", 32), ["make", "sheet"]),
        (("cache", "--cache", "kept"), []),
    ],
)  # fmt: skip
def test_other_commands_tell_their_stages(run, command, expected):
    assert stages(told(run, *command, "-v")) == expected


def test_without_it_nothing_is_told_and_stdout_is_the_same(run):
    quiet, loud = run("inspect", "m.onnx", "--json"), run("inspect", "m.onnx", "--json", "-v")
    assert quiet.stderr == ""
    assert loud.stderr.count(" took ") == 2
    assert json.loads(quiet.stdout) == json.loads(loud.stdout)


def test_the_logger_is_left_as_it_was(run):
    logger = logging.getLogger("wrg_onnx")
    before = (logger.level, [*logger.handlers])
    told(run, "inspect", "m.onnx", "-v")
    assert (logger.level, [*logger.handlers]) == before


def test_a_stage_that_fails_is_told_before_the_error(run):
    done = run("prune", "m.onnx", "--ratio", 0.5, "-v", "--data", "nowhere", *SMALL)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert any(" analyse took " in line for line in lines)
    assert lines[-1].startswith("Error: ")


def test_what_another_thread_logs_is_told(capsys):
    with click.Context(click.Command("any")) as ctx:
        ctx.meta[verbose._ASKED] = 0.0
        with verbose.decisions_shown(ctx):
            thread = threading.Thread(target=logger_of("wrg_onnx.any").info, args=("a decision",))
            thread.start()
            thread.join()
    assert capsys.readouterr().err.endswith(" s  a decision\n")
