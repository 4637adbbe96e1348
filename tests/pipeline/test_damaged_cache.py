"""Whatever happens to a kept file, it is taken as it was written, or named and made anew.

Each kind of file is damaged as a whole, and each thing in it in each way that `damage` knows: once
as it is, when the seal tells of any change, and once with a seal made to fit, when types, shapes
and numbers must tell of what nothing can be.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import damage
import numpy as np
import pytest
from cuts import normal_data
from strategies import analyse, build, normal

from wrg_onnx.calibrate import Cache, cache
from wrg_onnx.calibrate.kept_rows import Store
from wrg_onnx.channels import Units
from wrg_onnx.factors import ACTIVATION, RANK
from wrg_onnx.graph import Graph
from wrg_onnx.latency import (
    ChannelSteps,
    CostTable,
    TableOptions,
    Timing,
    find_or_measure_table,
    kept_table,
)
from wrg_onnx.latency.layers import find_timed_layers
from wrg_onnx.pipeline import kept_points
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.kept_points import KeptPoints
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.sweep import SweepConfig, sweep
from wrg_onnx.recover import MeasureOptions, find_or_measure, kept_layers, measure_layers
from wrg_onnx.report.sweep import SweepCut
from wrg_onnx.select import Criterion

TEXT = """net (float[1,3,8,8] x) => (float[1,5,8,8] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, w1)  p = Relu(a)  q = Conv<group = 2>(p, w2, b2)  r = Add(q, p)
    y = Conv(r, w3) }"""
WEIGHTS = {
    "w1": normal(8, 3, 3, 3), "w2": normal(8, 4, 1, 1), "b2": normal(8), "w3": normal(5, 8, 1, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a run made of a kept file.

    Attributes:
        kept: Whether it was taken.
        told: What the run says of it.
    """

    kept: bool
    told: str


@dataclass(frozen=True)
class Kind:
    """A kind of kept file.

    Attributes:
        suffix: How its name ends.
        look: Looks for it in a folder, as a run does, and writes it if it is not taken.
    """

    suffix: str
    look: Callable[[Path], Found]


# --- the kinds ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Units:
    return analyse(build(TEXT, WEIGHTS)).units


def look_for_rows(folder: Path) -> Found:
    store = Store(Cache(folder), ("a model",), (ACTIVATION, RANK), 3)
    is_kept, told = len(store) > 0, store.problem
    if not is_kept:
        for name in ("one", "two"):
            store.put(name, {RANK: np.array([0.5, 1.0, 0.0]), ACTIVATION: np.array([2.0, 1e9, 0])})
        store.flush()
    return Found(is_kept, "; ".join(filter(None, (told, store.problem))))


def look_for_layers(graph: Graph, monkeypatch) -> Callable[[Path], Found]:
    data, options = normal_data((1, 3, 8, 8), 2), MeasureOptions(halves=True)
    measured, calls = measure_layers(graph, data, options), []
    monkeypatch.setattr(kept_layers, "measure_layers", lambda *_, **__: calls.append(1) or measured)

    def look(folder: Path) -> Found:
        before = len(calls)
        found = find_or_measure(graph, data, options, Cache(folder))
        return Found(len(calls) == before, found.problem)

    return look


def look_for_table(units: Units, monkeypatch) -> Callable[[Path], Found]:
    steps, options = ChannelSteps(4, 2), TableOptions()
    layers = find_timed_layers(units).layers
    rates = {layer.name: np.arange(1.0, len(layer.features) + 1) for layer in layers}
    table = CostTable(steps, rates, 0.25, 4.0, 0.01, 0.02, 12, 30.0)
    monkeypatch.setattr(kept_table, "measure_table", lambda *_, **__: table)

    def look(folder: Path) -> Found:
        shapes = {"x": (1, 3, 8, 8)}
        found = find_or_measure_table(units.graph, units, shapes, steps, options, Cache(folder))
        return Found(found.kept, found.problem)

    return look


@pytest.fixture(scope="module")
def cut() -> SweepCut:
    """Return a point of a real sweep."""
    root = Path(__file__).parents[2]
    config = PruneConfig(0.0, data=DataOptions(samples=2), timing=Timing(warmup=0, rounds=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wrg_onnx.pipeline.samples.GENERATED_FOR_VALIDATION", 2)
        found = sweep(
            root / "models" / "tiny_unet.onnx", SweepConfig(config, (0.3,), (Criterion.L1,))
        )
    return found.report.points[0].cut


def look_for_point(graph: Graph, cut: SweepCut) -> Callable[[Path], Found]:
    config = PruneConfig(0.3, criterion=Criterion.L1)

    def look(folder: Path) -> Found:
        points = KeptPoints(Cache(folder), graph, Samples((), (), None), "max F")
        found = points.find(config, None)
        if found is None:
            points.keep(config, None, cut)
        else:
            assert found == cut
        return Found(found is not None, "; ".join(points.problems))

    return look


@pytest.fixture
def kinds(model, cut, monkeypatch) -> dict[str, Kind]:
    return {
        "rows": Kind(".npz", look_for_rows),
        "layers": Kind(cache.LAYERS_SUFFIX, look_for_layers(model.graph, monkeypatch)),
        "table": Kind(cache.LATENCY_SUFFIX, look_for_table(model, monkeypatch)),
        "point": Kind(cache.POINT_SUFFIX, look_for_point(model.graph, cut)),
    }


ARCHIVES = ("rows", "layers", "table")


@pytest.fixture
def written(kinds, tmp_path, request) -> tuple[Kind, Path]:
    """Return a kind, and the whole file that a first run has written."""
    kind = kinds[request.param]
    assert kind.look(tmp_path) == Found(kept=False, told="")
    (path,) = tmp_path.iterdir()
    assert path.name.endswith(kind.suffix)
    assert kind.look(tmp_path) == Found(kept=True, told="")
    return kind, path


def test_there_are_no_other_kinds(kinds):
    suffixes = {value for name, value in vars(cache).items() if name.endswith("_SUFFIX")}
    assert suffixes | {".npz"} == {kind.suffix for kind in kinds.values()}


# --- whole files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", damage.FILES)
@pytest.mark.parametrize("written", [*ARCHIVES, "point"], indirect=True)
def test_a_damaged_file_is_named_and_made_anew(written, way, tmp_path):
    kind, path = written
    whole = damage.arrays_of(path) if path.suffix == ".npz" else {}
    damage.FILES[way](path)
    found = kind.look(tmp_path)
    if found.kept:  # an archive has fields that nothing depends on
        assert way == "a bit at the end"
        assert damage.same(damage.arrays_of(path), whole)
        return
    assert f"'{path}'" in found.told
    assert "anew" in found.told
    assert "\n" not in found.told
    if way == "a folder":  # which is not removed, whatever is in it
        assert (path / "mine").exists()
        assert "cannot keep" in found.told
    else:
        assert kind.look(tmp_path) == Found(kept=True, told="")


@pytest.mark.parametrize("written", [*ARCHIVES, "point"], indirect=True)
def test_a_file_in_the_place_of_another_key_is_named(written, tmp_path):
    kind, path = written
    folder = tmp_path / "other"
    folder.mkdir()
    other = folder / path.name
    text = path.read_bytes()
    key = b"".join(path.name[:32].encode()[i : i + 1] for i in range(32))
    other.write_bytes(text.replace(key, b"0" * 32) if path.suffix == ".json" else text)
    if path.suffix == ".npz":
        arrays = damage.arrays_of(path)
        arrays["key"] = np.array("0" * 64)
        damage.write(other, arrays, sealed=True)
    found = kind.look(folder)
    assert not found.kept
    assert f"'{other}'" in found.told


@pytest.mark.parametrize("written", ARCHIVES, indirect=True)
def test_a_compressed_archive_is_not_unfolded(written, tmp_path):
    kind, path = written
    damage.packed(path)
    assert not kind.look(tmp_path).kept


# --- each thing in a file -------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "sealed anew"])
@pytest.mark.parametrize("written", ARCHIVES, indirect=True)
def test_each_array_changed_in_each_way_is_named_and_measured_anew(written, sealed, tmp_path):
    kind, path = written
    arrays, tried = damage.arrays_of(path), 0
    for way, changed in damage.changed_arrays(arrays, sealed=sealed):
        damage.write(path, changed, sealed=sealed)
        found = kind.look(tmp_path)
        assert not found.kept, way
        assert f"'{path}'" in found.told, way
        assert "anew" in found.told, way
        tried += 1
    assert tried > 10 * len(arrays)
    damage.write(path, arrays, sealed=True)
    assert kind.look(tmp_path) == Found(kept=True, told="")  # it is the damage that was refused


@pytest.mark.parametrize("written", ["point"], indirect=True)
def test_each_value_of_a_point_changed_in_each_way_is_named_and_made_anew(written, tmp_path):
    kind, path = written
    held, tried = json.loads(path.read_text(encoding="utf-8")), 0
    for way, changed in damage.changed_plain(held):
        path.write_text(json.dumps(changed), encoding="utf-8")
        found = kind.look(tmp_path)
        assert not found.kept, way
        assert f"'{path}' does not hold the point of a sweep" in found.told, way
        tried += 1
    assert tried > 1000


TEXTS = (".metric", ".data", ".provider", ".output", ".sha256")


def could_be(way: str) -> bool:
    """Tell whether a change leaves what another run could have found."""
    is_number = way.endswith((": 10^9", ": -1", ": -0.5", ": infinity", ": minus infinity"))
    is_text = way.endswith(": a text") and way.partition(":")[0].endswith(TEXTS)
    is_record = (way.startswith("without ") and way.endswith("]")) or "[]: one more" in way
    is_value = way.startswith("without .images.values.")  # without masks there is none
    return way.endswith(": nothing") or is_number or is_text or is_record or is_value


@pytest.mark.parametrize("written", ["point"], indirect=True)
def test_a_point_of_other_types_is_made_anew_whatever_its_seal(written, tmp_path):
    kind, path = written
    held, tried = json.loads(path.read_text(encoding="utf-8")), 0
    for way, changed in damage.changed_plain(held["cut"]):
        if could_be(way):
            continue
        again: dict[str, Any] = {**held, "cut": changed}
        del again["seal"]
        text = json.dumps({**again, "seal": kept_points._seal(again)})
        path.write_text(text, encoding="utf-8")
        points = kind.look(tmp_path)
        assert not points.kept, way
        tried += 1
    assert tried > 500


@pytest.mark.parametrize("value", [-1, -0.5, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["seconds", "error", "removed"])
@pytest.mark.parametrize("written", ["point"], indirect=True)
def test_a_count_or_a_time_that_cannot_be_is_made_anew_whatever_its_seal(
    written, name, value, tmp_path
):
    kind, path = written
    held = json.loads(path.read_text(encoding="utf-8"))
    held["cut"][name] = value
    del held["seal"]
    path.write_text(json.dumps({**held, "seal": kept_points._seal(held)}), encoding="utf-8")
    assert not kind.look(tmp_path).kept


# --- the run around it ----------------------------------------------------------------------------


@pytest.mark.usefixtures("few_samples")
def test_a_run_names_each_damaged_file_in_its_notes(tiny_unet, tmp_path):
    """All kinds at once, in the folder of a run that keeps all of them."""
    pytest.importorskip("torch")
    from wrg_onnx.pipeline.config import BudgetKind
    from wrg_onnx.pipeline.prune import prune

    folder = tmp_path / "kept"
    config = PruneConfig(
        0.3, criterion=Criterion.SEL_REPAIR, budget=BudgetKind.MACS, cache=folder,
        data=DataOptions(samples=2), evaluate=False,
    )  # fmt: skip
    first = prune(tiny_unet, tmp_path / "first.onnx", config).report
    files = sorted(folder.iterdir())
    assert {"".join(path.suffixes) for path in files} >= {".npz", ".layers.npz"}
    assert not any(str(folder) in note for note in first.notes)
    for path in files:
        os.truncate(path, path.stat().st_size // 2)
    second = prune(tiny_unet, tmp_path / "second.onnx", config).report
    for path in files:
        assert any(f"'{path}'" in note and "anew" in note for note in second.notes), path
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()
