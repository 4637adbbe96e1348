"""What layers read is measured as it is: for every form of every linear operator."""

from __future__ import annotations

import numpy as np
import pytest
from cuts import data_of, normal_data
from linear_forms import FORMS
from strategies import analyse, build, normal

from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.errors import StatisticsError
from wrg_onnx.graph import open_session
from wrg_onnx.recover import (
    MeasureOptions,
    RowOptions,
    consumers_of,
    grid_sums,
    measure,
    measure_layers,
)

ALL = RowOptions(per_input=10**6)


def measure_consumers(units, data, rows):
    return consumers_of(units, measure_layers(units.graph, data, MeasureOptions(rows=rows)))


def network(form):
    """Return a network in which a pointwise layer makes what one form of layer reads."""
    op, attributes, shape, weight = FORMS[form]
    channels = shape[-1] if op in ("Gemm", "MatMul") else shape[1]
    if op in ("Gemm", "MatMul"):
        dims = ",".join(map(str, shape))
        text = f"g (float[{dims}] x) => (float y) {{ m = MatMul(x, p) r = Relu(m) y = {op}"
        first = normal(channels, channels)
    else:
        dims = ",".join(map(str, shape))
        text = f"g (float[{dims}] x) => (float y) {{ m = Conv(x, p) r = Relu(m) y = {op}"
        first = normal(channels, channels, *[1] * (len(shape) - 2))
    text += f"<{attributes}>(r, w) }}" if attributes else "(r, w) }"
    return analyse(build(text, {"p": first, "w": normal(*weight, seed=1)})), shape


@pytest.mark.parametrize("wide_from", [grid_sums.WIDE, 1])
@pytest.mark.parametrize("form", [name for name in FORMS if name != "depthwise"])
def test_the_covariance_tells_the_variance_of_every_output(form, wide_from, monkeypatch):
    monkeypatch.setattr(grid_sums, "WIDE", wide_from)
    found, shape = network(form)
    data = normal_data(shape, 3)
    layers = [c for c in measure_consumers(found.units, data, ALL) if c.layer == "y"]
    session = open_session(found.graph)
    made = [session.run(sample.feeds)["y"].astype(np.float64) for sample in data]
    is_product = FORMS[form][0] in ("Gemm", "MatMul")
    rows = np.concatenate([
        y.reshape(-1, y.shape[-1]) if is_product else np.moveaxis(y, 1, -1).reshape(-1, y.shape[1])
        for y in made
    ])  # fmt: skip
    told = np.concatenate([np.einsum("md,de,me->m", c.weight, c.gram, c.weight) for c in layers])
    np.testing.assert_allclose(told, rows.var(axis=0), rtol=1e-4)
    assert {c.rows for c in layers} == {len(rows)}


def test_each_channel_of_a_patch_has_its_unit():
    found, _ = network("plain")
    (one,) = [c for c in measure_consumers(found.units, normal_data((2, 4, 7, 6), 2), ALL)
              if c.layer == "y"]  # fmt: skip
    units = found.labels("p", 0)
    assert one.inputs.tolist() == np.repeat(units, 9).tolist()


@pytest.mark.parametrize(("form", "same"), [("grouped", True), ("transposed_grouped", False)])
def test_groups_are_layers_of_their_own(form, same):
    found, shape = network(form)
    first, second = (
        c for c in measure_consumers(found.units, normal_data(shape, 2), ALL) if c.layer == "y"
    )
    # The same place in each group of a Conv is one unit; a ConvTranspose ties them, too.
    assert np.array_equal(first.inputs, second.inputs) or not same
    assert first.weight.shape == second.weight.shape


def test_rows_are_drawn_by_seed_and_as_many_as_asked():
    found, shape = network("padded")
    data = normal_data(shape, 4)

    def measured(**options):
        found_ = measure_consumers(found.units, data, RowOptions(**options))
        return next(c for c in found_ if c.layer == "y")

    one, again, other = (measured(per_input=1, seed=seed) for seed in (0, 0, 1))
    assert one.rows == 36, "4 channels of 9 taps"
    np.testing.assert_array_equal(one.gram, again.gram)
    assert not np.array_equal(one.gram, other.gram)


@pytest.mark.parametrize(
    ("saliency", "at_objects", "rows"), [(False, 0.5, 64), (True, 0.0, 64), (True, 0.5, 40)]
)
def test_a_wide_layer_is_seen_in_all_places_unless_they_lie_at_objects(
    saliency, at_objects, rows, monkeypatch
):
    monkeypatch.setattr(grid_sums, "WIDE", 27)
    text = """g (float[1,3,8,8] x) => (float y, float s) {
        y = Conv<pads = [1, 1, 1, 1]>(x, w)  s = Conv(x, u) }"""
    graph = analyse(build(text, {"w": normal(4, 3, 3, 3), "u": normal(1, 3, 1, 1)})).graph
    sample = SaliencyMap("s", axis=1, channels=1, is_logit=True) if saliency else None
    options = RowOptions(sample, per_input=40 / 27, at_objects=at_objects)
    found = measure_layers(graph, normal_data((1, 3, 8, 8), 1), MeasureOptions(rows=options))
    one = found.layers["y"]
    assert one.sums.rows == rows == len(one.rows[0].places)
    told = np.einsum("md,de,me->m", one.matrix()[0], one.sums.covariance_x()[0], one.matrix()[0])
    np.testing.assert_allclose(told, one.rows[0].goal.var(axis=1), rtol=1e-4)


def test_what_cannot_be_measured_is_there_without_a_covariance():
    text = """g (float[5,1,4] x) => (float y) { m = MatMul(x, p) h = LSTM<hidden_size=3>(m, w, r)
    s = Squeeze(h, one)  y = MatMul(s, v) }"""
    weights = {
        "p": normal(4, 6), "w": normal(1, 12, 6), "r": normal(1, 12, 3), "v": normal(3, 2),
        "one": np.array([1], np.int64),
    }  # fmt: skip
    found = analyse(build(text, weights))
    layers = measure_consumers(found.units, normal_data((5, 1, 4), 2), ALL)
    without = {c.layer for c in layers if c.gram is None}
    assert without == {"w", "r"}
    (w,) = [c for c in layers if c.layer == "w"]
    assert set(w.inputs.tolist()) == set(found.labels("p", 1).tolist())


def test_what_is_not_finite_is_named():
    found, shape = network("plain")
    x = normal(*shape)
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(StatisticsError, match=r"'m' reads or makes NaN"):
        measure_consumers(found.units, data_of({"x": x}), ALL)


def test_no_image_is_an_error():
    found, _ = network("plain")
    with pytest.raises(StatisticsError, match="there is no image"):
        measure_consumers(found.units, data_of(), ALL)


def test_large_inputs_are_looked_at_in_parts(monkeypatch):
    found, shape = network("padded")
    data = normal_data(shape, 2)
    whole = measure_consumers(found.units, data, ALL)
    monkeypatch.setattr(measure, "BOUND_BYTES", 1)
    parts = measure_consumers(found.units, data, ALL)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.gram, other.gram, rtol=1e-6)


def test_integers_count_as_the_numbers_that_they_stand_for():
    text = """g (float[2,4] x) => (float y) { m = MatMul(x, p) r = Relu(m)
    w = DequantizeLinear(q, scale, zero)  y = MatMul(r, w) }"""
    integers = np.full((6, 3), 128, np.uint8)
    integers[2] = 129
    weights = {
        "p": normal(4, 6), "q": integers, "scale": np.float32(0.5), "zero": np.uint8(128),
    }  # fmt: skip
    found = analyse(build(text, weights))
    measured = measure_consumers(found.units, normal_data((2, 4), 2), ALL)
    (one,) = [c for c in measured if c.layer == "q"]
    assert one.gram is None
    # Three outputs read half of channel 2 each, and nothing of the others.
    np.testing.assert_allclose(one.weight, [[0, 0, np.sqrt(3 * 0.5**2), 0, 0, 0]])


def test_a_single_row_tells_no_variance():
    found = analyse(
        build("g (float[1,4] x) => (float y) { m = MatMul(x, p) y = MatMul(m, w) }",
              {"p": normal(4, 6), "w": normal(6, 3)})
    )  # fmt: skip
    (one,) = [c for c in measure_consumers(found.units, normal_data((1, 4), 1), ALL)
              if c.layer == "y"]  # fmt: skip
    assert one.gram is None
    np.testing.assert_allclose(one.weight, normal(6, 3).T)


def test_what_reads_too_much_is_not_measured(monkeypatch):
    found, shape = network("padded")
    monkeypatch.setattr(measure, "GRAM_BYTES", 8 * 36**2 - 1)
    measured = measure_consumers(found.units, normal_data(shape, 2), ALL)
    assert {c.layer for c in measured if c.gram is None} == {"w"}
