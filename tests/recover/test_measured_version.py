"""What is measured of layers changes only with its version, so that nothing old is read.

``tests/golden/measured_layers.json`` holds a few numbers of each layer of the committed net. They
are compared with a tolerance, for machines differ in the last bits.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cuts import normal_data

from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.graph import load
from wrg_onnx.recover import MeasureOptions, RowOptions, measure_layers
from wrg_onnx.recover.measure import VERSION

TINY_UNET = Path(__file__).parents[2] / "models" / "tiny_unet.onnx"
RECORD = Path(__file__).parents[1] / "golden" / "measured_layers.json"
TOLERANCE = 1e-3
ANEW = "pytest --update-golden tests/recover/test_measured_version.py"


def found():
    """Return of each layer its rows, the variance of what it reads, and what it makes."""
    graph = load(TINY_UNET)
    saliency = SaliencyMap(graph.outputs[0].name, axis=1, channels=1, is_logit=False)
    data = normal_data((1, 3, 160, 160), 3, name=graph.inputs[0].name)
    measured = measure_layers(graph, data, MeasureOptions(rows=RowOptions(saliency, seed=2)))
    return {
        name: [
            float(one.sums.rows),
            float(np.trace(one.sums.covariance_x(), axis1=1, axis2=2).sum()),
            float(np.mean([np.square(rows.goal).mean() for rows in one.rows])),
        ]
        for name, one in measured.layers.items()
    }


def objection(now, recorded):
    """Say what is wrong with a record; nothing if it holds."""
    same = set(now) == set(recorded["layers"]) and all(
        np.allclose(now[name], recorded["layers"][name], rtol=TOLERANCE) for name in now
    )
    if recorded["version"] == VERSION:
        return "" if same else f"raise VERSION in recover/measure.py, then record with `{ANEW}`"
    return f"version {recorded['version']} is recorded: record with `{ANEW}`"


def test_what_is_measured_changes_only_with_its_version(request):
    if not TINY_UNET.exists():
        pytest.skip("models/tiny_unet.onnx is not there")
    now = found()
    recorded = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else None
    if request.config.getoption("--update-golden"):
        if recorded is not None and recorded["version"] == VERSION:
            assert not objection(now, recorded)
            return
        lines = (f' "{name}": {[float(f"{x:.6g}") for x in now[name]]}' for name in sorted(now))
        text = ",\n".join(lines)
        RECORD.write_text(f'{{"version": {VERSION}, "layers": {{\n{text}\n}}}}\n', "utf-8")
        return
    assert recorded is not None, f"record it with `{ANEW}`"
    assert not objection(now, recorded)


def test_a_change_without_a_version_is_told():
    now = {"a": [10.0, 2.0, 3.0]}
    assert objection(now, {"version": VERSION, "layers": {"a": [10.0, 2.0002, 3.0]}}) == ""
    changed = {"version": VERSION, "layers": {"a": [10.0, 2.1, 3.0]}}
    assert objection(now, changed).startswith("raise VERSION")
    assert "record with" in objection(now, {"version": VERSION - 1, "layers": now})
