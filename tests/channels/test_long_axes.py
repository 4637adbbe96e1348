"""Axes of any length cost a number in the file and nothing more: they stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.channels import ledger, propagate

WEIGHTS = {"w": normal(8, 3, 1, 1), "v": normal(2, 8, 1, 1)}

MADE = {
    "Expand": "m = Expand(s, n)  k = Expand(s, n)",
    "ConstantOfShape": "m = ConstantOfShape(n)  k = ConstantOfShape(n)",
}


@pytest.mark.parametrize("making", MADE.values(), ids=MADE)
@pytest.mark.parametrize(("most", "live"), [(40, [0, 0]), (39, [0, None]), (19, [None, None])])
def test_axes_that_nodes_make_carry_ids_while_they_are_few_in_all(monkeypatch, making, most, live):
    monkeypatch.setattr(ledger, "MOST_MADE", most)
    text = f"""net (float[1,3,4,4] x) => (float[1,2,4,4] y, float[20] p, float[20] q) {{
      s = ReduceMax<keepdims = 0>(x)  {making}  p = Neg(m)  q = Neg(k)
      a = Conv(x, w)  y = Conv(a, v) }}"""
    found = analyse(build(text, {**WEIGHTS, "n": np.int64([20])}))
    axes = [found.units.axes[name] for name in ("m", "k")]
    assert [0 if one.live() else None for one in axes] == live
    assert found.removable("w", 0).all()


def test_positions_that_a_pad_puts_beside_channels_stay_where_they_are_many(monkeypatch):
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
      a = Conv(x, w)  p = Pad(a, n)  y = Conv(p, u) }"""
    weights = {**WEIGHTS, "u": normal(2, 20, 1, 1), "n": np.int64([0, 0, 0, 0, 0, 12, 0, 0])}
    few = analyse(build(text, weights))
    assert few.removable("u", 1).all()
    monkeypatch.setattr(ledger, "MOST_MADE", 11)
    many = analyse(build(text, weights))
    assert many.removable("u", 1).tolist() == [True] * 8 + [False] * 12


def test_channels_that_are_repeated_too_often_stay_and_it_is_told(monkeypatch):
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y, float[1,2,4,4] z) {
      a = Conv(x, w)  t = Tile(a, n)  z = Conv(t, u)  y = Conv(a, v) }"""
    weights = {**WEIGHTS, "n": np.int64([1, 4, 1, 1]), "u": normal(2, 32, 1, 1)}
    assert analyse(build(text, weights)).removable("w", 0).all()
    monkeypatch.setattr(propagate, "MOST_POSITIONS", 31)
    found = analyse(build(text, weights))
    assert found.reasons("w", 0) == {f"Tile 'Tile_1' {propagate.TOO_LONG}"}
