"""The killing of runs notices what it is there to notice, and a few kills break no promise."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import faults
from wrg_onnx.files.held import marked


@pytest.fixture
def case(tmp_path):
    """Return a case with one output, which is there, and what is known of it."""
    found = faults.Case("a case", None, (), ("m.onnx",), lambda _: None)
    faults.make_model(tmp_path / "m.onnx")
    mark = faults.whole(tmp_path / "m.onnx")
    known = faults.Known({"m.onnx": mark}, {"m.onnx": "another"}, {}, None, 1.0)
    return found, known


def test_an_old_and_a_new_file_are_told_apart(case, tmp_path):
    found, known = case
    assert faults.check_outputs(found, known, tmp_path) == "old"
    swapped = faults.Known(known.new, known.old, {}, None, 1.0)
    assert faults.check_outputs(found, swapped, tmp_path) == "new"


def test_a_file_that_is_neither_or_gone_breaks_a_promise(case, tmp_path):
    found, known = case
    other = faults.Known({"m.onnx": "one"}, {"m.onnx": "another"}, {}, None, 1.0)
    with pytest.raises(faults.BrokenPromiseError, match="neither the old file nor the new one"):
        faults.check_outputs(found, other, tmp_path)
    (tmp_path / "m.onnx").unlink()
    with pytest.raises(faults.BrokenPromiseError, match="is gone"):
        faults.check_outputs(found, known, tmp_path)


def test_half_a_file_is_no_model(case, tmp_path):
    found, known = case
    whole = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(faults.BrokenPromiseError, match="is no whole model"):
        faults.check_outputs(found, known, tmp_path)


def test_what_is_half_written_is_found_wherever_it_is(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out" / marked(".m.onnx.", ".part")).touch()
    (tmp_path / "tmp" / marked()).mkdir()
    (tmp_path / "out" / "m.onnx").touch()
    assert [name.partition("/")[0] for name in faults.half_written(tmp_path)] == ["out", "tmp"]


@pytest.mark.slow
@pytest.mark.parametrize("case", faults.CASES, ids=lambda case: case.name)
def test_a_kill_of_each_case_breaks_no_promise(case, tmp_path):
    faults.make_model(tmp_path / "net.onnx")
    known = faults.learn(case, faults.place(tmp_path, case, "first"))
    folder = faults.place(tmp_path, case, "kill")
    rng = random.Random(case.name)  # another signal for each, and another moment
    faults.kill_one(case, known, folder, rng, known.seconds / 2)
    assert not folder.exists()
    shutil.rmtree(tmp_path)
