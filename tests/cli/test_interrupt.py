"""Ctrl-C at any time: exit code 130, one line, no traceback, nothing left behind."""

from __future__ import annotations

import signal
import time

import pytest
from programs import environment, instead_of_inspect, run_program, start_program

INSPECT = ("inspect", "m.onnx", "--size", 32)
LONG = ("prune", "m.onnx", "--ratio", 0.5, "--criterion", "sel", "--size", 64, "--samples", 500,
        "--certainty", 1, "--no-cache")  # fmt: skip
READY = "print('ready', file=sys.stderr, flush=True); "

pytestmark = pytest.mark.usefixtures("model")


def hear_ctrl_c():
    """Undo what a shell does to programs in the background: they ignore it, and so do theirs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
def test_ctrl_c_ends_a_run_whatever_it_is_doing(seconds, folder):
    (folder / "tmp").mkdir()
    with start_program(
        *LONG, before=READY, preexec_fn=hear_ctrl_c,
        env=environment(TMPDIR=str(folder / "tmp")),
    ) as process:  # fmt: skip
        assert process.stderr.readline() == "ready\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    if not seconds:
        # It may come before the program's first statement: then Python's own end is the answer.
        assert process.returncode in (130, -signal.SIGINT, 1)
        return
    assert (process.returncode, out) == (130, "")
    assert error.split() == ["Interrupted."]
    assert [*(folder / "tmp").iterdir()] == []
    assert [path.name for path in sorted(folder.iterdir())] == ["m.onnx", "tmp"]


def interrupted(body):
    return run_program(*INSPECT, before=instead_of_inspect(body), preexec_fn=hear_ctrl_c)


def test_ctrl_c_is_heard_where_a_library_makes_another_error_of_it():
    done = interrupted("""
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt as error:
    raise ImportError("initialization failed") from error""")
    assert done.stderr == "Interrupted.\n"
    assert (done.returncode, done.stdout) == (130, "")


def test_ctrl_c_is_heard_where_python_cannot_raise_it():
    done = interrupted("""
class Lost:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
Lost()
time.sleep(30)""")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.split() == ["Interrupted."]


def test_what_ctrl_c_leaves_half_made_is_not_told_of():
    done = interrupted("""
class Half:
    def __del__(self):
        self.stream
half = Half()
signal.raise_signal(signal.SIGINT)""")
    assert (done.returncode, done.stderr.split()) == (130, ["Interrupted."])


def test_ctrl_c_that_is_ignored_from_the_start_stays_ignored():
    body = "signal.raise_signal(signal.SIGINT)\nreturn found(*a, **k)"
    done = run_program(
        *INSPECT, before=instead_of_inspect(body),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
