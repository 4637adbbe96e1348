"""Stdout or stderr that is closed, full or without a reader: never silence, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import onnx
import pytest
from programs import environment, instead_of_inspect, run_program, start_program
from terminal import run_on_terminal

FULL = Path("/dev/full")
INSPECT = ("inspect", "m.onnx", "--size", 32)
PRUNE = ("prune", "m.onnx", "--ratio", 0.5, "--criterion", "l1", "--size", 32)
LOST = "Error: the result cannot be written to stdout: {}\n"
OUT = {">&-": "it is closed", ">/dev/full": "No space left on device"}

pytestmark = [
    pytest.mark.usefixtures("model"),
    pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here"),
]
each_lost_stdout = pytest.mark.parametrize(("redirected", "why"), OUT.items(), ids=OUT)
each_lost_stderr = pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full"])


@each_lost_stdout
@pytest.mark.parametrize(
    "arguments",
    [INSPECT, (*INSPECT, "--json"), ("--help",), ("prune", "--help"), ("--version",), ("cache",)],
    ids=lambda given: " ".join(map(str, given)),
)
def test_a_result_that_does_not_arrive_is_an_error(redirected, why, arguments):
    done = run_program(*arguments, redirected=redirected)
    assert (done.returncode, done.stderr) == (1, LOST.format(why))


@each_lost_stdout
def test_a_model_that_is_written_is_named_though_its_report_is_lost(redirected, why):
    done = run_program(*PRUNE, redirected=redirected)
    assert done.returncode == 4
    assert done.stderr == (
        "Error: 'm.pruned.onnx' is written and proven, but the result cannot be written to stdout: "
        f"{why}\n"
    )
    onnx.checker.check_model(onnx.load("m.pruned.onnx"))


def test_a_set_that_is_written_is_named_though_its_report_is_lost():
    done = run_program(
        "tsod", "make", "--count", 1, "--size", 32, "-o", "made", redirected=">/dev/full"
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: 'made' is written, but the result cannot be written to stdout: "
        "No space left on device\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code"), [(INSPECT, 1), (PRUNE, 4)], ids=["inspect", "prune"]
)
def test_a_reader_that_is_gone_is_told_in_one_line(arguments, code):
    end, start = os.pipe()
    os.close(end)
    done = run_program(*arguments, capture_output=False, stdout=start, stderr=subprocess.PIPE)
    os.close(start)
    assert done.returncode == code
    assert done.stderr.endswith("cannot be written to stdout: its reader is gone\n")
    assert done.stderr.count("\n") == 1


def test_a_pipe_to_head_says_nothing_where_all_was_read():
    with start_program(*INSPECT) as process:
        assert process.stdout.readline() == "m.onnx\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@each_lost_stderr
def test_a_result_arrives_without_a_stderr(redirected):
    done = run_program(*INSPECT, "--json", redirected=redirected)
    assert done.returncode == 0
    assert json.loads(done.stdout)["model"] == "m.onnx"


@each_lost_stderr
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("inspect", "gone.onnx"), 1), (("inspect", "--gone"), 2), (("gone",), 2), ((), 2)],
    ids=["error", "usage", "no command", "nothing"],
)
def test_without_a_stderr_the_exit_code_says_what_happened(redirected, arguments, code):
    done = run_program(*arguments, redirected=redirected)
    assert (done.returncode, done.stdout) == (code, "")


def test_without_any_stream_the_exit_code_says_what_happened():
    assert run_program("inspect", "gone.onnx", redirected="<&- >&- 2>&-").returncode == 1
    assert run_program(*INSPECT, redirected="<&- >&- 2>&-").returncode == 1
    assert run_program(*PRUNE, redirected="<&- >&- 2>&-").returncode == 4


NOISY = (
    "import os; from wrg_onnx.pipeline.api import prune as api; made = api.read_model; "
    "api.read_model = lambda *a: (os.write(2, b'noise'), os.write(1, b'noise'), made(*a))[2]; "
)


@pytest.mark.parametrize("redirected", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_what_libraries_print_never_gets_into_the_model(redirected):
    quiet, noisy = ("quiet.onnx", "noisy.onnx")
    assert run_program(*PRUNE, "-o", quiet).returncode == 0
    run_program(*PRUNE, "-o", noisy, before=NOISY, redirected=redirected)
    assert Path(noisy).read_bytes() == Path(quiet).read_bytes()


def test_letters_that_the_terminal_does_not_know_are_escaped(folder):
    name = "größe_重み.onnx"
    (folder / "m.onnx").rename(name)
    latin = run_program(
        "inspect", name, "--size", 32, env=environment(PYTHONIOENCODING="latin-1"), text=False
    )
    assert latin.returncode == 0
    assert latin.stdout.startswith("größe_\\u91cd\\u307f.onnx\n".encode("latin-1"))
    ascii_alone = run_program(
        "inspect", name, "--size", 32, env=environment(PYTHONIOENCODING="ascii")
    )
    assert ascii_alone.stdout.startswith(f"{name}\n")


PRINTS = instead_of_inspect("""
print("printed")
os.system("echo started")
os.write(1, b"written\\n")
return found(*a, **k)""")


def test_stdout_holds_the_result_alone():
    done = run_program(*INSPECT, "--json", before=PRINTS)
    assert done.returncode == 0
    assert json.loads(done.stdout)["model"] == "m.onnx"
    assert sorted(done.stderr.split()) == ["printed", "started", "written"]


def test_what_is_printed_at_the_end_is_no_result():
    done = run_program(
        *INSPECT, "--json", before="import atexit; atexit.register(print, 'goodbye'); "
    )
    assert json.loads(done.stdout)["model"] == "m.onnx"
    assert done.stderr == "goodbye\n"


def test_a_pipe_is_as_wide_as_ever_though_stderr_is_a_terminal():
    code = (
        "import sys; sys.argv = ['wrg-onnx', 'inspect', 'm.onnx', '--size', '32']; "
        "from wrg_onnx.cli.guard import run; sys.exit(run())"
    )
    status, printed, _ = run_on_terminal(code, COLUMNS="")
    assert status == 0
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_shell_that_completes_a_line_is_answered():
    asked = {"_WRG_ONNX_COMPLETE": "bash_complete", "COMP_WORDS": "wrg-onnx ins", "COMP_CWORD": "1"}
    done = run_program(env=environment(**asked))
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain,inspect\n", "")
