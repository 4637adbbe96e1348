"""What counts as a find, and that right files lead to none."""

from __future__ import annotations

import signal
import sys

import pytest

import files
from files import Ended, Fuzzer, problems

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def ended(code=1, err=b"Error: 'm.onnx': no\n", out=b"", peak_bytes=0):
    return Ended(code, 0.1, peak_bytes, out, err)


def found(run, folder, before=()):
    return [*problems(run, folder, frozenset(before))]


def test_one_line_of_an_error_is_no_find(tmp_path):
    assert found(ended(), tmp_path) == []


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (ended(-signal.SIGSEGV), "killed by SIGSEGV"),
        (ended(-signal.SIGXCPU), "took too long"),
        (ended(70), "exit code 70"),
        (ended(3), "exit code 3"),
        (ended(err=b"Traceback (most recent call last):\nKeyError: 1\n"), "traceback: KeyError: *"),
        (ended(err=b"warning\nError: no\n"), "not one line: Error: no"),
        (ended(err=b"Error: '\x1b[31m'\n"), "a control character"),
        (ended(0, out="\u202e".encode(), err=b""), "a control character"),
        (ended(peak_bytes=2**31), "took too much memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_a_find(tmp_path, run, says):
    assert says in found(run, tmp_path)


def test_what_is_left_behind_is_a_find(tmp_path):
    (tmp_path / "tmp").mkdir()
    for name in (".out.onnx.abcd1234.part", "tmp/x", "out.onnx"):
        (tmp_path / name).write_bytes(b"")
    said = found(ended(), tmp_path)
    assert "left behind: .out.onnx.*.part" in said
    assert "left behind: x" in said
    assert "an output in spite of exit code 1" in said
    assert any(each.startswith("an output that does not load") for each in said)


@pytest.mark.slow
def test_cases_follow_from_the_seed_and_finds_can_be_run_again(tmp_path, monkeypatch):
    files.import_all()
    ends = []
    for name in ("first", "second"):
        fuzzer = Fuzzer(tmp_path / name, tmp_path / f"{name} finds", seed=5)
        for number in range(6):
            fuzzer.one(number)
        ends.append(fuzzer.ends)
    assert ends[0] == ends[1]
    assert ends[0].total() == 6
    monkeypatch.setattr(files, "problems", lambda *_: ["something"])
    fuzzer.one(6)
    (kind,) = fuzzer.finds
    assert "something" in kind
    told = (tmp_path / "second finds" / "1" / "find.txt").read_text(encoding="utf-8")
    assert told.startswith(f"{kind}\n\nwrg-onnx ")
