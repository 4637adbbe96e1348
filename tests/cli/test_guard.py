"""What nobody expected is one line, an exit code, and a file with the details."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from programs import environment, instead_of_inspect, run_program

INSPECT = ("inspect", "m.onnx", "--size", 32)
SECRET = "hunter" * 2

pytestmark = pytest.mark.usefixtures("model")


def raising(what):
    """Return statements after which ``inspect`` raises."""
    return instead_of_inspect(f"raise {what}")


@pytest.fixture
def temporary(folder):
    """Return options for a program that has a folder of its own for temporary files."""
    (folder / "tmp").mkdir()
    return {"env": environment(TMPDIR=str(folder / "tmp"), OF_MINE=SECRET)}


def details(done):
    """Return the file that the one line of a program names."""
    (line,) = done.stderr.splitlines()
    return Path(re.search(r"Its details are in (\S+)$", line)[1])


def test_a_fault_is_one_line_with_the_place_of_its_details(temporary):
    done = run_program(*INSPECT, before=raising("KeyError('row')"), **temporary)
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr.startswith(
        "Error: KeyError: 'row'. This is a fault of wrg-onnx: please report it. Its details are in "
    )
    path = details(done)
    assert path.parent == Path("tmp").absolute()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in text
    assert re.match(r"wrg-onnx \d+\.\d+\.\d+, Python 3", text)
    assert text.rstrip().endswith("KeyError: 'row'")


def test_details_hold_nothing_of_the_command_line_or_the_environment(temporary):
    done = run_program(
        "inspect", "m.onnx", "--keep", "private*", before=raising("KeyError('row')"), **temporary
    )
    text = details(done).read_text(encoding="utf-8")
    assert SECRET not in text
    assert "private" not in text
    assert "m.onnx" not in text


def test_a_fault_whose_details_cannot_be_written_is_still_told():
    nowhere = "import tempfile; tempfile.tempdir = '/nowhere'; "
    done = run_program(*INSPECT, before=nowhere + raising("KeyError('row')"))
    assert done.returncode == 70
    assert "Its details cannot be written to the folder for temporary files" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("code", ["0", "3", "'done'", ""])
def test_an_end_that_somebody_else_calls_is_a_fault_with_its_code(code, temporary):
    done = run_program(*INSPECT, before=raising(f"SystemExit({code})"), **temporary)
    assert (done.returncode, done.stdout) == (70, "")
    shown = code.strip("'") or "0"
    assert f"it would end this program (SystemExit: {shown})" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_fault_while_a_command_is_imported_is_told_too(temporary):
    done = run_program(*INSPECT, before="sys.modules['wrg_onnx.cli.options'] = None; ", **temporary)
    assert done.returncode == 70
    assert done.stderr.startswith("Error: ModuleNotFoundError: ")
    assert details(done).exists()


def test_hostile_text_in_a_fault_is_escaped_on_the_terminal_and_in_the_file(temporary):
    what = r"ValueError('a\x1b[31mb\nError: forged\u202e')"
    done = run_program(*INSPECT, before=raising(what), **temporary)
    assert r"a\x1b[31mb Error: forged\u202e" in done.stderr
    assert done.stderr.count("\n") == 1
    text = details(done).read_text(encoding="utf-8")
    assert not {"\x1b", "\u202e"} & {*text}


def test_memory_that_is_short_is_no_fault():
    done = run_program(*INSPECT, before=raising("MemoryError()"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: out of memory; a smaller --size needs less\n"


def test_warnings_are_notes_each_once_and_those_of_developers_are_left_out():
    warns = r"""
import numpy
for level in (1, 2):
    warnings.warn("odd\x1b[1m\nvalue", stacklevel=level)
warnings.warn("old", FutureWarning)
warnings.warn("older", DeprecationWarning)
numpy.exp(numpy.float32(1e9))
logging.getLogger("other").warning("raw")
return found(*a, **k)"""
    done = run_program(*INSPECT, "--json", before=instead_of_inspect(warns))
    assert json.loads(done.stdout)["model"] == "m.onnx"
    assert done.stderr.splitlines() == [
        r"Note: UserWarning: odd\x1b[1m value",
        "Note: RuntimeWarning: overflow encountered in exp",
    ]


def test_an_error_in_a_finaliser_is_a_note(temporary):
    lost = """
class Lost:
    def __del__(self):
        1 / 0
Lost()
return found(*a, **k)"""
    done = run_program(*INSPECT, before=instead_of_inspect(lost), **temporary)
    assert done.returncode == 0
    assert done.stderr.startswith(
        "Note: ZeroDivisionError: division by zero, which changed nothing"
    )
    assert details(done).exists()


def test_the_exit_codes_are_in_the_help(run):
    words = " ".join(run("--help").stdout.split())
    for code in ("0 done", "1 error", "2 usage", "3 validation failed", "4 written and proven",
                 "70 a fault of wrg-onnx", "130 interrupted"):  # fmt: skip
        assert code in words
