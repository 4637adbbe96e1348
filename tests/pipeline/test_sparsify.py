"""Pruning that first trains towards the cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

from wrg_onnx.data.workers import Alone
from wrg_onnx.errors import UsageError
from wrg_onnx.graph import load
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.pipeline.sparsify import elements_of
from wrg_onnx.select import Criterion
from wrg_onnx.tsod import MakeOptions, make_set


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sparsify") / "set"
    make_set(folder, MakeOptions(count=12, height=160, width=160))
    return folder


def config(images, **chosen):
    defaults = {"criterion": Criterion.L1, "evaluate": False, "sparsify": 2}
    return PruneConfig(0.3, data=DataOptions(images, samples=6), **{**defaults, **chosen})


def test_what_fades_is_what_is_cut_and_the_file_is_proved(tiny_unet, images, tmp_path):
    output = tmp_path / "out.onnx"
    report = prune(tiny_unet, output, config(images, recover=Recovery.NONE)).report
    found = report.sparsified
    assert (found.epochs, found.units) == (2, report.removed)
    assert found.left < 0.1
    assert found.max_f_before is not None
    assert report.equivalence.error <= report.equivalence.tolerance
    assert report.reached == pytest.approx(0.3, abs=0.005)
    plain = prune(tiny_unet, None, config(images, sparsify=0, recover=Recovery.NONE)).report
    assert plain.sparsified is None
    # The order by L1 was the same before, so the same layers have the same widths.
    assert [g.kept for g in report.groups] == [g.kept for g in plain.groups]
    assert report.seconds["sparsify"] > 0
    weights = {n: one for n, one in load(output).constants.items() if one.ndim == 4}
    original = load(tiny_unet).constants
    assert not any(np.isin(array, original[name]).all() for name, array in weights.items())


def test_ridge_makes_up_towards_the_original_and_not_what_faded(tiny_unet, images):
    chosen = config(images, recover=Recovery.RIDGE, evaluate=True)
    report = prune(tiny_unet, None, chosen).report
    assert report.recovery.method == "ridge"
    assert report.accuracy.agreement[0].relative_error < 0.5
    assert report.accuracy.before is not None


def test_elements_are_rows_of_producers_and_columns_of_consumers(tiny_unet):
    model = analyse(tiny_unet, DataOptions())
    slots = [s for s in model.units.slots if s.name == "down_half.1.0.weight" and s.axis == 0]
    unit = model.units.slot_units(slots[0])[3]
    alive = np.ones(model.units.count, bool)
    alive[unit] = False
    masks = elements_of(model, alive)
    assert sorted(masks) == [
        "down_half.1.0.weight", "down_half.1.0.weight_bias", "down_quarter.0.0.weight",
        "up_half.0.weight",
    ]  # fmt: skip
    row, column = masks["down_half.1.0.weight"], masks["up_half.0.weight"]
    assert row[3].all()
    assert not np.delete(row, 3, axis=0).any()
    assert column[:, 35].all()
    assert not np.delete(column, 35, axis=1).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sparsify": -1}, "sparsify must be at least 0 epochs, got -1"),
        ({"rounds": 2}, "sparsify goes before a single cut: leave rounds at 1"),
        (
            {"data": DataOptions()},
            r"sparsify trains the model on your images: give data \(--data\)",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(images, changed, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(config(images), **changed)


def test_several_processes_are_refused(images):
    class Two(Alone):
        count = 2

    with pytest.raises(UsageError, match="start one to sparsify"):
        config(images, workers=Two())
