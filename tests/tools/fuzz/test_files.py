"""What counts as a find, and that right files lead to none."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import files
from files import Ended, Fuzzer, problems

FILES = Path(files.__file__)

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


def fuzz(folder, *options):
    """Run the fuzzer; what pytest makes of warnings would be finds."""
    line = [sys.executable, str(FILES), "--seed", "5", "--keep", str(folder / "finds"), *options]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.slow
def test_cases_follow_from_the_seed_alone(tmp_path):
    first, second = (fuzz(tmp_path, "--cases", "3") for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    assert first.stdout.startswith("3 files\n")


def test_a_find_is_kept_with_its_command_and_what_it_said(tmp_path):
    fuzzer = Fuzzer.__new__(Fuzzer)
    fuzzer._folder, fuzzer._keep, fuzzer.finds = tmp_path, tmp_path / "finds", Counter()
    for name in ("case", "run/tmp"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "case" / "model.onnx").write_bytes(b"changed")
    (tmp_path / "run" / "tmp" / f"{files.FAULT}1.txt").write_text("Traceback ...\n")
    for _ in range(2):
        fuzzer._keep_find("model, inspect: exit code 70", tmp_path / "case", ["inspect"], ended(70))
    (kept,) = (tmp_path / "finds").iterdir()
    assert (kept / "model.onnx").read_bytes() == b"changed"
    told = (kept / "find.txt").read_text(encoding="utf-8")
    assert told.startswith("model, inspect: exit code 70\n\nwrg-onnx inspect\n\nexit code 70\n")
    assert "Error: 'm.onnx': no" in told
    assert "Traceback ..." in told
    assert fuzzer.finds.total() == 2
