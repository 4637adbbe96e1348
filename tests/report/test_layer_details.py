"""Every layer width is listed with what the choice was made of."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.channels import Limits, parameter_terms
from wrg_onnx.factors import GRADIENT, RANK, WEIGHT, LayerValues, Statistics
from wrg_onnx.report import layer_details as module
from wrg_onnx.report.details import UnitNumbers
from wrg_onnx.report.layer_details import Choice, layer_details
from wrg_onnx.select import Scores, per_unit

CHAIN = """net (float[1,3,4,4] image) => (float[1,2,4,4] out) {
  a = Conv(image, z_first)  b = Conv(a, wide)  out = Conv(b, last) }"""
WEIGHTS = {
    "z_first": normal(4, 3, 1, 1), "wide": normal(600, 4, 1, 1), "last": normal(2, 600, 1, 1),
}  # fmt: skip


def choice_of(units, *, values=None, alive=None, origin=None, factors=()):
    count = units.count if origin is None else len(origin)
    values = np.arange(count, dtype=float) if values is None else values
    return Choice(
        units, parameter_terms(units), units.removable | True if alive is None else alive,
        np.arange(units.count) if origin is None else origin,
        Scores(values, np.zeros(count, bool)), Statistics(dict(factors)),
    )  # fmt: skip


@pytest.fixture
def units():
    return analyse(build(CHAIN, WEIGHTS)).units


def members_of(units, name):
    (slot,) = [s for s in units.slots if (s.name, s.axis) == (name, 0)]
    return units.slot_units(slot)


def test_widths_are_listed_in_the_order_of_the_model_those_that_stay_too(units):
    alive = np.ones(units.count, bool)
    alive[members_of(units, "wide")[:100]] = False
    rows, left = layer_details(choice_of(units, alive=alive))
    assert [(row.name, row.units, row.kept, row.removable) for row in rows] == [
        ("what z_first reads", 3, 3, 0), ("z_first", 4, 4, 4),
        ("wide", 600, 500, 600), ("last", 2, 2, 0),
    ]  # fmt: skip
    assert rows[0].frozen == "input 'image' is the model's input"
    assert rows[1].frozen == rows[2].frozen == ""
    assert "output" in rows[3].frozen
    assert [row.parameters for row in rows] == [4, 3 + 600, 4 + 2, 600]
    assert left == 0


def test_a_narrow_layer_has_the_numbers_of_each_unit_as_the_criterion_takes_them(units):
    own = members_of(units, "z_first")
    layers = [LayerValues("a", own, np.array([1.0, 2.0, 4.0, 8.0]))]
    values = np.linspace(1, 2, units.count)
    alive = np.ones(units.count, bool)
    alive[own[0]] = False
    found = choice_of(units, values=values, alive=alive, factors={WEIGHT: layers, GRADIENT: ()})
    row = layer_details(found)[0][1]
    assert row.scores.each == pytest.approx(values[own], rel=1e-3)
    assert row.w.each == pytest.approx(per_unit(layers, units.count).values[own], rel=1e-3)
    assert np.prod(row.w.each) == pytest.approx(1, rel=1e-2)
    assert (row.r, row.g) == (None, None)
    assert row.alive == (False, True, True, True)


def test_a_unit_that_was_not_measured_has_no_number(units):
    own = members_of(units, "z_first")
    rows, _ = layer_details(
        choice_of(units, factors={RANK: [LayerValues("a", own[:2], np.ones(2))]})
    )
    assert rows[1].r.each == (1.0, 1.0, None, None)
    assert rows[2].r == UnitNumbers()


def test_a_wide_layer_has_quantiles_of_what_stays_and_of_what_goes(units):
    own = members_of(units, "wide")
    alive, values = np.ones(units.count, bool), np.zeros(units.count)
    values[own] = np.arange(600)
    alive[own[:101]] = False
    row = layer_details(choice_of(units, values=values, alive=alive))[0][2]
    assert (row.scores.each, row.alive) == ((), ())
    assert row.scores.removed == (0, 25, 50, 75, 100)
    assert row.scores.kept == (101, 225.5, 350, 474.5, 599)


def test_a_layer_that_stays_has_no_numbers(units):
    rows, _ = layer_details(choice_of(units))
    assert (rows[0].scores, rows[0].w, rows[0].alive) == (None, None, ())


def test_of_several_rounds_the_numbers_are_the_last_one_s(units):
    own = members_of(units, "z_first")
    gone = own[1]
    origin = np.delete(np.arange(units.count), gone)
    alive = np.ones(units.count, bool)
    alive[gone] = False
    found = choice_of(units, values=10.0 + np.arange(len(origin)), alive=alive, origin=origin)
    row = layer_details(found)[0][1]
    expected = [10.0 + list(origin).index(unit) if unit != gone else None for unit in own]
    assert list(row.scores.each) == expected
    assert row.alive == (True, False, True, True)


def test_what_the_last_round_added_belongs_to_no_layer(units):
    origin = np.append(np.arange(units.count), -1)
    values = np.append(np.zeros(units.count), 99.0)
    rows, _ = layer_details(choice_of(units, values=values, origin=origin))
    assert set(rows[1].scores.each) == {0.0}


def test_the_reason_is_that_of_most_units():
    units = analyse(build(CHAIN, WEIGHTS), Limits(keep=("wide",))).units
    row = next(row for row in layer_details(choice_of(units))[0] if row.name == "wide")
    assert row.removable == 0
    assert "keep" in row.frozen


def test_where_there_are_too_many_layers_those_that_hold_most_are_listed(units, monkeypatch):
    monkeypatch.setattr(module, "MOST_LAYERS", 2)
    rows, left = layer_details(choice_of(units))
    assert ([row.name for row in rows], left) == (["z_first", "wide"], 2)
    assert [row.units for row in rows] == [4, 600]


@pytest.mark.parametrize(("most", "listed"), [(8, True), (7, False)])
def test_where_there_are_too_many_numbers_wide_layers_have_quantiles(
    units, monkeypatch, most, listed
):
    monkeypatch.setattr(module, "MOST_NUMBERS", most)
    row = layer_details(choice_of(units))[0][1]
    assert bool(row.scores.each) is bool(row.alive) is listed
    assert bool(row.scores.kept) is not listed


def test_where_too_many_layers_could_be_plotted_those_that_hold_most_are(units, monkeypatch):
    monkeypatch.setattr(module, "MOST_PLOTTED", 1)
    rows, _ = layer_details(choice_of(units))
    assert [row.scores is not None for row in rows] == [False, False, True, False]
