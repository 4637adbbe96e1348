"""The table of choices has a row for each of them, and the unpruned net's above."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "experiments" / "choice_table.py"


def test_each_choice_is_a_row_of_figures():
    pytest.importorskip("py_sod_metrics")
    model = str(ROOT / "models" / "tiny_unet.onnx")
    command = [sys.executable, str(TOOL), model, "--samples", "4", "--ratio", "0.5",
               "--criterion", "l1", "--criterion", "repair"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, head, _, *rows = done.stdout.splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[1] for row in cells] == ["unpruned", "l1", "repair"]
    assert {len(row) for row in cells} == {len(head.strip("|").split("|"))}
    unpruned, by_norm, repaired = (float(row[3]) for row in cells)
    # What ridge leaves may be a little better than the unpruned net.
    assert min(unpruned, repaired) > by_norm
