"""Cost tables are kept by layers, machine and versions; what is broken is measured anew."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.calibrate import Cache
from wrg_onnx.latency import (
    ChannelSteps,
    TableOptions,
    cost_table,
    find_or_measure_table,
    kept_table,
)

STEPS = ChannelSteps(4, 2)
OPTIONS = TableOptions(most=3, fewest=3, runs=2, each_s=0.0)
TEXT = """net (float[1,3,8,8] x) => (float[1,4,8,8] y) {
    a = Conv(x, w1)  b = Relu(a)  y = Conv(b, w2) }"""


def units(width=8):
    return analyse(build(TEXT, {"w1": normal(width, 3, 1, 1), "w2": normal(4, width, 1, 1)})).units


@pytest.fixture
def find(tmp_path, monkeypatch):
    # However busy the machine of the tests is, its tables are kept.
    monkeypatch.setattr(cost_table, "NOISY_ERROR", np.inf)
    monkeypatch.setattr(cost_table, "NOISY_SPREAD", np.inf)

    def found(model, steps=STEPS, folder=tmp_path):
        shapes = {"x": (1, 3, 8, 8)}
        return find_or_measure_table(model.graph, model, shapes, steps, OPTIONS, Cache(folder))

    return found


def test_what_was_measured_is_found_again_whatever_the_weights_are(find):
    first, second = find(units()), find(units())
    assert (first.kept, second.kept) == (False, True)
    assert second.table.whole_ms == first.table.whole_ms
    for name, rates in first.table.rates.items():
        assert np.array_equal(second.table.rates[name], rates)


def test_other_layers_are_measured_anew(find):
    find(units())
    assert not find(units(12)).kept


def test_another_machine_or_runtime_finds_nothing(find, monkeypatch):
    find(units())
    monkeypatch.setattr(kept_table, "machine", lambda: "another")
    assert not find(units()).kept


def test_other_steps_find_nothing(find):
    find(units())
    assert not find(units(), ChannelSteps(8, 4)).kept


@pytest.mark.parametrize("damage", ["cut short", "alien", "rates", "not finite", "negative"])
def test_a_damaged_table_is_named_and_measured_anew(find, tmp_path, damage):
    find(units())
    (path,) = tmp_path.glob("*.latency.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:100])
    else:
        if damage == "alien":
            arrays["key"] = np.array("0" * 64)
        elif damage == "rates":
            arrays["rates"] = arrays["rates"][1:]
        elif damage == "not finite":
            arrays["facts"][0] = np.nan
        else:
            arrays["rates"][0] = -1
        np.savez(path, **arrays)
    found = find(units())
    assert not found.kept
    assert str(path) in found.problem
    assert "measured anew" in found.problem
    assert find(units()).kept


def test_a_folder_that_cannot_be_written_to_is_told_of(find, tmp_path):
    (tmp_path / "file").write_text("")
    found = find(units(), folder=tmp_path / "file" / "folder")
    assert "cannot keep" in found.problem
    assert found.table.whole_ms > 0


def test_a_table_of_a_busy_machine_is_not_kept(find, monkeypatch):
    monkeypatch.setattr(cost_table, "NOISY_ERROR", -1.0)
    assert not find(units()).kept
    assert not find(units()).kept
