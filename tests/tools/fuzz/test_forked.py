"""A call in a process of its own: how it ends is told, and its limits hold."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from forked import Limits, forked

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    # Of Python 3.12 on: pytest's workers have threads, the fuzzer has none.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

LIMITS = Limits(seconds=20, memory_bytes=2**28)


def test_what_it_writes_and_its_code_are_told(tmp_path):
    def call():
        sys.stdout.write("out\n")
        sys.stderr.write("err\n")
        sys.exit(3)

    found = forked(call, tmp_path, LIMITS)
    assert (found.code, found.out, found.err) == (3, b"out\n", b"err\n")
    assert not found.is_late


@pytest.mark.parametrize(("end", "code"), [(None, 0), (2, 2), ("why", 1)])
def test_exit_codes_are_those_of_python(tmp_path, end, code):
    assert forked(lambda: sys.exit(end), tmp_path, LIMITS).code == code


def test_an_exception_is_a_traceback_and_exit_code_1(tmp_path):
    found = forked(lambda: 1 / 0, tmp_path, LIMITS)
    assert found.code == 1
    assert b"ZeroDivisionError" in found.err


def test_a_crash_is_a_signal(tmp_path):
    assert (
        forked(lambda: os.kill(os.getpid(), signal.SIGSEGV), tmp_path, LIMITS).code
        == -signal.SIGSEGV
    )


def test_computing_without_end_is_ended(tmp_path):
    def call():
        while True:
            pass

    found = forked(call, tmp_path, Limits(seconds=1, memory_bytes=2**28))
    assert found.is_late


def test_waiting_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["forked"], "PATIENCE", 1)
    found = forked(signal.pause, tmp_path, Limits(seconds=1, memory_bytes=2**28))
    assert found.is_late


def test_memory_beyond_the_limit_is_not_given(tmp_path):
    found = forked(lambda: bytearray(2**29), tmp_path, LIMITS)
    assert found.code == 1
    assert b"MemoryError" in found.err


def test_the_memory_that_it_takes_is_told(tmp_path):
    def call():
        bytearray(b"x" * 2**26)

    found = forked(call, tmp_path, LIMITS)
    assert found.code == 0
    assert 2**26 < found.peak_bytes < 2**28
