"""Layers whose number of rows the data decide: they keep their weights, and it is said."""

from __future__ import annotations

import numpy as np
import pytest
from cuts import cut, data_of, error, normal_data
from strategies import normal, whole

from wrg_onnx.recover import ReconstructOptions, compensate, reconstruct

DEPENDS = "how many rows they read depends on the data"
TOO_FEW = "the samples give them too few rows"

PICKED = """net (float[1,3,8,8] x) => (float[K,5] y) {{
    a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)
    b = Conv<pads = [1, 1, 1, 1]>(p, v)
    s = ReduceMax<keepdims = 0, axes = [1]>({judged})  g = Greater(s, limit)
    n = NonZero(g)  i = Transpose<perm = [1, 0]>(n)
    t = Transpose<perm = [0, 2, 3, 1]>(b)  r = GatherND(t, i)
    y = Gemm(r, e, c) }}"""


def picked(limit, judged):
    """Return a model whose last layer reads the places where a tensor is above a limit."""
    arrays = {
        "w": normal(6, 3, 3, 3), "v": normal(4, 6, 3, 3, seed=1), "e": normal(4, 5, seed=2),
        "c": normal(5), "limit": np.float32(limit),
    }  # fmt: skip
    return cut(PICKED.format(judged=judged), arrays, {("w", 0): [1, 4]})


def images(*largest):
    """Return images whose largest value is given."""
    found = []
    for seed, value in enumerate(largest):
        x = np.clip(normal(1, 3, 8, 8, seed=seed), None, 0.5)
        x[0, 0, 0, 0] = value
        found.append({"x": x})
    return data_of(*found)


def recovered(made, data):
    return reconstruct(made.before, made.removal, data, ReconstructOptions())


def test_a_layer_that_reads_other_rows_than_in_the_original_keeps_its_weights():
    made = picked(0.9, judged="b")
    found = recovered(made, normal_data((1, 3, 8, 8), 8))
    assert [fit.layer for fit in found.fits] == ["b"]
    assert found.left == {DEPENDS: 1}
    for name in ("e", "c"):
        np.testing.assert_array_equal(found.graph.constants[name], made.before.constants[name])


def test_a_convolution_of_another_size_than_in_the_original_keeps_its_weights():
    text = """net (float[1,3,8,8] x) => (float[1,5,K,8] y) {
        a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)
        b = Conv<pads = [1, 1, 1, 1]>(p, v)
        s = ReduceMax<keepdims = 0, axes = [0, 1, 3]>(b)  g = Greater(s, limit)
        r = Compress<axis = 2>(b, g)  y = Conv<pads = [1, 1, 1, 1]>(r, e) }"""
    arrays = {"w": normal(6, 3, 3, 3), "v": normal(4, 6, 3, 3, seed=1) / 8,
              "e": normal(5, 4, 3, 3, seed=2), "limit": np.float32(2.2)}  # fmt: skip
    made = cut(text, arrays, {("w", 0): [1, 4]})
    found = recovered(made, normal_data((1, 3, 8, 8), 8))
    assert [fit.layer for fit in found.fits] == ["b"]
    assert found.left == {DEPENDS: 1}


@pytest.mark.parametrize(
    ("largest", "left"),
    [((0.5, 0.5, 0.5, 1), {TOO_FEW: 1}), ((1, 1, 1, 0.5), {TOO_FEW: 1}), ((0.5,) * 4, {})],
    ids=["none to solve on", "none to choose on", "none at all"],
)
def test_a_layer_without_rows_to_solve_on_or_to_choose_on_keeps_its_weights(largest, left):
    found = recovered(picked(0.9, judged="x"), images(*largest))
    assert [fit.layer for fit in found.fits] == ["b"]
    assert all(np.isfinite(array).all() for array in found.graph.constants.values())
    assert found.left == left


def test_samples_without_a_row_do_not_disturb_those_that_have_some():
    made = picked(0.9, judged="x")
    data = normal_data((1, 3, 8, 8), 7)
    blank = images(0.5)
    mixed = data_of(*(sample.feeds for sample in (*blank, *data)))
    found = recovered(made, mixed)
    assert [fit.layer for fit in found.fits] == ["b", "y"]
    assert found.left == {}
    assert error(made.before, found.graph, data) < error(made.before, made.pruned, data)


def test_bias_of_a_layer_without_rows_stays():
    text = """net (float[1,3,8,8] x) => (float[K,5] y) {
        a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)
        s = ReduceMax<keepdims = 0, axes = [1]>(x)  g = Greater(s, limit)
        n = NonZero(g)  i = Transpose<perm = [1, 0]>(n)
        t = Transpose<perm = [0, 2, 3, 1]>(p)  r = GatherND(t, i)
        y = Gemm(r, e, c) }"""
    arrays = {"w": normal(6, 3, 3, 3), "e": normal(6, 5), "c": normal(5), "limit": np.float32(0.9)}
    made = cut(text, arrays, {("w", 0): [1, 4]})
    none = compensate(made.removal, images(0.5, 0.5), ReconstructOptions())
    assert (none.fits, none.left) == ((), {TOO_FEW: 1})
    assert whole(none.graph) == whole(made.pruned)
    some = compensate(made.removal, images(0.5, 1, 0.5), ReconstructOptions())
    assert [(fit.layer, fit.rows) for fit in some.fits] == [("y", 1)]
    assert np.isfinite(some.graph.constants["c"]).all()
