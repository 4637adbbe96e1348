"""Made and filtered data need numpy and Pillow alone, on a machine without anything else."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from pathlib import Path

before = set(sys.modules)
from wrg_onnx import tsod

made, small = Path("made"), Path("small")
tsod.make_set(made, tsod.MakeOptions(count=3, height=48, width=48))
tsod.filter_sets(made, small, tsod.FilterOptions(max_area=0.5))
assert len(list((small / "images").iterdir())) == 3
# What numpy makes up for its own use has no file.
new = {name for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", "")}
print(*sorted({name.partition(".")[0] for name in new} - sys.stdlib_module_names))
"""


def test_data_are_made_and_filtered_with_numpy_and_pillow_alone(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["PIL", "numpy", "wrg_onnx"]
