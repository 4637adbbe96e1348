"""Small graphs as text, analysed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from registries import own_copies

from wrg_onnx.calibrate import Measurements, Tap
from wrg_onnx.calibrate.measurements import Probe
from wrg_onnx.channels import Units, find_units
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.graph import bind_sizes, infer_shapes
from wrg_onnx.graph.load import from_proto


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test registers be forgotten behind it."""
    own_copies(monkeypatch)


@pytest.fixture
def analysed() -> Callable[..., Units]:
    """Parse ``(inputs) => (outputs) <constants> {nodes}`` and find its units."""

    def build(body: str, constants: dict | None = None, opset: int = 17) -> Units:
        imports = f'"": {opset}, "com.microsoft": 1'
        model = onnx.parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]> g {body}")
        for name, array in (constants or {}).items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        graph = from_proto(model, name="test.onnx")
        return find_units(graph, infer_shapes(graph, bind_sizes(graph.inputs)))

    return build


@pytest.fixture
def measured() -> Callable[[Probe, tuple[Tap, ...], DataSet], Measurements]:
    """Measure all images with one probe."""

    def measure(probe: Probe, taps: tuple[Tap, ...], data: DataSet) -> Measurements:
        rows = [row for sample in data for row in probe.measure([sample])]
        stacked = {f: np.stack([row[f] for row in rows]) for f in probe.factors}
        return Measurements(taps, stacked, len(data))

    return measure
