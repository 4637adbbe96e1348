"""A vector that exporters share through Identity nodes ties no layers together.

Since 1.12 torch stores equal biases once and copies them by Identity.
"""

from __future__ import annotations

import numpy as np
import pytest
from cuts import cut, normal_data
from strategies import analyse, build, normal

from wrg_onnx.recover import ReconstructOptions, reconstruct

comes_with_folding = pytest.mark.xfail(
    strict=False, reason="folding of constants comes with graph/fold.py"
)

TEXT = """net (float[1,3,8,8] x) => (float[1,5,8,8] y) {
    b2 = Identity(b1)  b3 = Identity(b2)
    a = Conv(x, w1, b1)  p = Relu(a)  c = Conv(p, w2, b2)  q = Relu(c)
    d = Conv(q, w3, b3)  r = Relu(d)  y = Conv(r, w4) }"""
ARRAYS = {
    "w1": normal(8, 3, 1, 1), "w2": normal(8, 8, 1, 1, seed=1), "w3": normal(8, 8, 1, 1, seed=2),
    "w4": normal(5, 8, 1, 1, seed=3), "b1": np.zeros(8, np.float32),
}  # fmt: skip
MADE = {"w1": 8, "w2": 8, "w3": 8}


@comes_with_folding
def test_each_layer_has_units_of_its_own():
    units = analyse(build(TEXT, ARRAYS)).units
    assert int(units.removable.sum()) == sum(MADE.values())


@comes_with_folding
def test_layers_lose_different_channels():
    made = cut(TEXT, ARRAYS, {("w1", 0): [1], ("w2", 0): [2, 3], ("w3", 0): [4, 5, 6]})
    shapes = {name: made.pruned.constants.forms[name].shape[0] for name in MADE}
    assert shapes == {"w1": 7, "w2": 6, "w3": 5}


@comes_with_folding
def test_every_layer_is_recovered():
    made = cut(TEXT, ARRAYS, {("w1", 0): [1], ("w2", 0): [2]})
    data = normal_data((1, 3, 8, 8), 4)
    found = reconstruct(made.before, made.removal, data, ReconstructOptions())
    assert {fit.layer for fit in found.fits} == {"c", "d", "y"}
    assert found.left == {}


@comes_with_folding
@pytest.mark.parametrize("copy", ["Identity(b1)", "Dropout(b1)"])
def test_a_vector_that_a_layer_reads_behind_a_copy_is_its_bias(copy):
    text = f"""net (float[1,3,8,8] x) => (float[1,5,8,8] y) {{
        b2 = {copy}  a = Conv(x, w1, b1)  p = Relu(a)  c = Conv(p, w2, b2)  y = Conv(c, w4) }}"""
    arrays = {name: ARRAYS[name] for name in ("w1", "w2", "w4", "b1")}
    made = cut(text, arrays, {("w1", 0): [1]})
    found = reconstruct(
        made.before, made.removal, normal_data((1, 3, 8, 8), 4), ReconstructOptions()
    )
    assert "c" in {fit.layer for fit in found.fits}
