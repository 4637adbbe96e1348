"""Ridge on whole models: what can be made up for is, in order, whatever the layers' form."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from cuts import cut, data_of, error, normal_data, used_in
from strategies import normal, whole

from wrg_onnx.errors import StatisticsError
from wrg_onnx.recover import ReconstructOptions, RowOptions, measure, reconstruct, ridge_problem
from wrg_onnx.recover.gram_sums import gram_bytes
from wrg_onnx.recover.ridge import Solution

CHAIN = """net (float[N,3,8,8] x) => (float[N,5,8,8] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, w1, b1)  p = Relu(a)
    b = Conv<pads = [1, 1, 1, 1]>(p, w2)  q = Relu(b)
    y = Conv(q, w3, b3) }"""


def chain(gone_1=(1, 4), gone_2=(0,), twin=None):
    arrays = {
        "w1": normal(8, 3, 3, 3), "b1": normal(8), "w2": normal(6, 8, 3, 3, seed=1),
        "w3": normal(5, 6, 1, 1, seed=2), "b3": normal(5, seed=3),
    }  # fmt: skip
    if twin is not None:
        arrays["w1"][4], arrays["b1"][4] = arrays["w1"][twin], arrays["b1"][twin]
    return cut(CHAIN, arrays, {("w1", 0): list(gone_1), ("w2", 0): list(gone_2)})


ALL_ROWS = RowOptions(per_input=10**6)


def recovered(made, data, *, rows=ALL_ROWS, **options):
    options = ReconstructOptions(rows=rows, **options)
    return reconstruct(made.before, made.removal, data, options)


def recovered_alone(made, names, data):
    """Let those tensors alone be known, so that the other layers stay as they are."""
    kept = {name: kept for name, kept in made.kept.items() if name in names}
    removal = replace(made.removal, kept=kept)
    return reconstruct(made.before, removal, data, ReconstructOptions(rows=ALL_ROWS))


FORMS = {
    "conv": """net (float[1,3,8,8] x) => (float[1,5,8,8] y) {
        a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)  y = Conv<pads = [1, 1, 1, 1]>(p, v) }""",
    "conv of a bias": """net (float[1,3,8,8] x) => (float[1,5,3,3] y) {
        a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)  y = Conv<strides = [2, 2]>(p, v, c) }""",
    "transposed": """net (float[1,3,4,4] x) => (float[1,5,9,9] y) {
        a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)
        y = ConvTranspose<strides = [2, 2]>(p, vt) }""",
    "gemm": """net (float[9,3] x) => (float[9,5] y) {
        a = Gemm(x, d)  p = Relu(a)  y = Gemm<alpha = 0.5, beta = 2.0>(p, e, c) }""",
    "matmul": """net (float[2,9,3] x) => (float[2,9,5] y) {
        a = MatMul(x, d)  p = Relu(a)  y = MatMul(p, e) }""",
    "matmul and add": """net (float[2,9,3] x) => (float[2,9,5] y) {
        a = MatMul(x, d)  p = Relu(a)  q = MatMul(p, e)  y = Add(c, q) }""",
}


def twins(form, **more):
    """Cut the second of two equal channels of the first layer: the other one knows all it said."""
    arrays = {
        "w": normal(6, 3, 3, 3), "d": normal(3, 6), "v": normal(5, 6, 3, 3, seed=1),
        "vt": normal(6, 5, 3, 3, seed=1), "e": normal(6, 5, seed=1), "c": normal(5),
    }  # fmt: skip
    arrays["w"][4] = arrays["w"][2]
    arrays["d"][:, 4] = arrays["d"][:, 2]
    first = ("w", 0) if "w)" in FORMS[form] else ("d", 1)
    return cut(FORMS[form], used_in(FORMS[form], arrays), {first: [4]}, **more)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_remaining_channel_knows_is_made_up_for(form):
    made = twins(form)
    shape = made.before.inputs[0].shape
    data, fresh = normal_data(shape, 12), normal_data(shape, 3, seed=1)
    assert error(made.before, made.pruned, fresh) > 0.05
    found = recovered(made, data)
    assert error(made.before, found.graph, fresh) < 1e-3
    onnx.checker.check_model(whole(found.graph), full_check=True)
    (fit,) = found.fits
    assert (fit.layer, fit.seen == fit.rows, found.left) == ("y", True, {})
    assert fit.after < 1e-4 < fit.before


@pytest.mark.parametrize("form", ["conv of a bias", "matmul"])
def test_solving_from_rows_gives_the_same(form, monkeypatch):
    made = twins(form)
    shape = made.before.inputs[0].shape
    from_rows(monkeypatch)
    found = recovered(made, normal_data(shape, 12))
    assert error(made.before, found.graph, normal_data(shape, 3, seed=1)) < 1e-3
    assert found.fits[0].rows == found.fits[0].seen


def from_rows(monkeypatch):
    """Let no Gram matrix fit into memory."""
    monkeypatch.setattr(ridge_problem, "GRAM_BYTES", 0)
    monkeypatch.setattr(measure, "GRAM_BYTES", 0)


def test_rows_beyond_the_bound_are_left_out_and_it_is_told(monkeypatch):
    made = twins("conv")
    from_rows(monkeypatch)
    monkeypatch.setattr(measure, "MOST_ROWS", 240)
    found = recovered(made, normal_data((1, 3, 8, 8), 12))
    assert (found.fits[0].rows, found.fits[0].seen) == (240, 12 * 64)
    assert error(made.before, found.graph, normal_data((1, 3, 8, 8), 3, seed=1)) < 0.02


def test_no_more_rows_are_solved_from_than_their_kernel_has_room_for(monkeypatch):
    """U2-Net has layers that are too wide for a Gram matrix, and tens of thousands of rows."""
    made = twins("conv")
    monkeypatch.setattr(ridge_problem, "GRAM_BYTES", 0)
    monkeypatch.setattr(ridge_problem, "KERNEL_BYTES", gram_bytes(1, 250))
    found = recovered(made, normal_data((1, 3, 8, 8), 12))
    assert (found.fits[0].rows, found.fits[0].seen) == (240, 12 * 64)
    assert error(made.before, found.graph, normal_data((1, 3, 8, 8), 3, seed=1)) < 0.02


def test_a_later_layer_is_solved_for_on_what_the_earlier_ones_now_make():
    """The second layer can be made up for in full; the third must not act as if it were not."""
    made = chain(gone_1=(4,), gone_2=(), twin=2)
    data, fresh = normal_data((1, 3, 8, 8), 16), normal_data((1, 3, 8, 8), 4, seed=1)
    found = recovered(made, data)
    assert [fit.layer for fit in found.fits] == ["b"], "behind it all is as it was"
    assert error(made.before, found.graph, fresh) < 1e-3
    # Without the second layer, the third is solved for on what that makes unrecovered.
    only_last = recovered_alone(made, set(made.kept) - {"b"}, data)
    assert only_last.left == {"it is not known what their output has kept": 1}
    assert [fit.layer for fit in only_last.fits] == ["y"]
    assert error(made.before, only_last.graph, fresh) > 0.05


@pytest.mark.parametrize(("bound_bytes", "walked"), [(0, 2), (40_000, 6), (8_000, 4)])
def test_as_many_samples_are_walked_with_as_memory_holds(bound_bytes, walked):
    """The widest level holds 7 channels of 8 x 8 pixels, 4 bytes each."""
    made, data = chain(gone_1=(4,), gone_2=(), twin=2), normal_data((1, 3, 8, 8), 6)
    found = recovered(made, data, bound_bytes=bound_bytes)
    assert found.walked == walked
    assert found.fits[0].rows == walked * 64
    assert error(made.before, found.graph, normal_data((1, 3, 8, 8), 4, seed=1)) < 1e-3


def test_a_layer_that_no_removed_channel_reaches_keeps_its_weights():
    found = recovered(chain(gone_1=(), gone_2=(0, 3)), normal_data((1, 3, 8, 8), 6))
    assert [fit.layer for fit in found.fits] == ["y"]
    before = chain(gone_1=(), gone_2=(0, 3)).pruned.constants
    for name in ("w1", "b1", "w2"):
        np.testing.assert_array_equal(found.graph.constants[name], before[name])
    assert len(found.graph.nodes[2].inputs) == 2, "no bias where none was solved for"


def test_nothing_removed_changes_nothing():
    made = chain(gone_1=(), gone_2=())
    found = recovered(made, normal_data((1, 3, 8, 8), 4))
    assert found.fits == ()
    assert whole(found.graph) == whole(made.pruned)


def test_depthwise_and_grouped_layers_are_solved_for_group_by_group():
    text = """net (float[1,4,8,8] x) => (float[1,4,8,8] y) {
        a = Conv(x, w)  p = Relu(a)  b = Conv<group = 6, pads = [1, 1, 1, 1]>(p, d)
        c = Conv(b, v)  q = Relu(c)  y = Conv<group = 2>(q, g) }"""
    arrays = {"w": normal(6, 4, 1, 1), "d": normal(6, 1, 3, 3), "v": normal(8, 6, 1, 1, seed=5),
              "g": normal(4, 4, 1, 1, seed=6)}  # fmt: skip
    made = cut(text, arrays, {("w", 0): [5], ("v", 0): [1, 5]})
    data, fresh = normal_data((1, 4, 8, 8), 12), normal_data((1, 4, 8, 8), 3, seed=1)
    found = recovered(made, data)
    assert [fit.layer for fit in found.fits] == ["c", "y"]
    assert error(made.before, found.graph, fresh) < 0.9 * error(made.before, made.pruned, fresh)


def test_projections_that_read_one_tensor_are_solved_for_together():
    text = """net (float[1,12,4] x) => (float[1,12,12] y) {
        h = MatMul(x, w)  r = Relu(h)  q = MatMul(r, wq)  k = MatMul(r, wk)
        t = Transpose<perm = [0, 2, 1]>(k)  y = MatMul(q, t) }"""
    arrays = {"w": normal(4, 8), "wq": normal(8, 3, seed=1), "wk": normal(8, 3, seed=2)}
    made = cut(text, arrays, {("w", 1): [2, 3]})
    data, fresh = normal_data((1, 12, 4), 16), normal_data((1, 12, 4), 4, seed=1)
    found = recovered(made, data)
    assert {fit.layer for fit in found.fits} == {"q", "k"}
    assert len({fit.penalty for fit in found.fits}) == 1
    for fit in found.fits:
        (only,) = recovered_alone(made, {"h", fit.layer}, data).fits
        assert fit.before == pytest.approx(only.before, rel=1e-5), "its own, not that of both"
    assert len({round(fit.after, 6) for fit in found.fits}) == 2
    assert error(made.before, found.graph, fresh) < 0.7 * error(made.before, made.pruned, fresh)


def test_tokens_of_a_mixer_may_be_cut_beside_the_axis_of_the_layer():
    """The layer mixes along the last axis; what is gone stands on another one."""
    text = """net (float[1,6,4] x) => (float[1,5,5] y) {
        t = Transpose<perm = [0, 2, 1]>(x)  h = MatMul(t, w)  r = Relu(h)
        s = Transpose<perm = [0, 2, 1]>(r)  m = MatMul(s, u)  n = Relu(m)
        o = Transpose<perm = [0, 2, 1]>(n)  y = MatMul(o, v) }"""
    arrays = {"w": normal(6, 8), "u": normal(4, 5, seed=1), "v": normal(8, 5, seed=2)}
    made = cut(text, arrays, {("w", 1): [2]})
    assert made.kept["m"].axis == 1
    found = recovered(made, normal_data((1, 6, 4), 30))
    assert [fit.layer for fit in found.fits] == ["y"]


def test_shared_weights_stay_and_shared_biases_are_divided():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y, float[1,4,6,6] z) {
        a = Conv(x, w)  p = Relu(a)  b = Conv(p, s)  c = Conv(p, s)  d = Conv(p, v, n)
        y = Conv<pads = [1, 1, 1, 1]>(p, u, n)  e = Add(b, c)  z = Add(e, d) }"""
    arrays = {"w": normal(6, 3, 1, 1), "s": normal(4, 6, 1, 1), "v": normal(4, 6, 1, 1, seed=1),
              "u": normal(4, 6, 3, 3), "n": np.zeros(4, np.float32)}  # fmt: skip
    made = cut(text, arrays, {("w", 0): [0, 1]})
    found = recovered(made, normal_data((1, 3, 6, 6), 8))
    assert found.left == {"they share their weights": 2}
    assert {fit.layer for fit in found.fits} == {"d", "y"}
    np.testing.assert_array_equal(found.graph.constants["s"], made.pruned.constants["s"])
    biases = {n.outputs[0]: n.inputs[2] for n in found.graph.nodes if n.outputs[0] in ("d", "y")}
    assert len(set(biases.values())) == 2
    assert all(found.graph.constants[name].any() for name in biases.values())


def test_quantised_and_fused_layers_are_counted_as_left():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
        a = com.microsoft.FusedConv<activation = "Relu">(x, w)  b = Conv(a, v)
        q = DequantizeLinear(i, s)  y = Conv(b, q) }"""
    arrays = {"w": normal(6, 3, 1, 1), "v": normal(5, 6, 1, 1), "s": np.float32(0.1),
              "i": np.arange(20, dtype=np.int8).reshape(4, 5, 1, 1)}  # fmt: skip
    made = cut(text, arrays, {("w", 0): [2]}, domains=("com.microsoft",))
    found = recovered(made, normal_data((1, 3, 6, 6), 4))
    assert [fit.layer for fit in found.fits] == ["b"]
    assert found.left == {
        "they are fused with what comes behind": 1, "their weights are quantised or computed": 1
    }  # fmt: skip


def test_float16_weights_stay_float16():
    text = CHAIN.replace("float[", "float16[")
    arrays = {
        "w1": normal(8, 3, 3, 3), "b1": normal(8), "w2": normal(6, 8, 3, 3, seed=1) / 8,
        "w3": normal(5, 6, 1, 1, seed=2), "b3": normal(5, seed=3),
    }  # fmt: skip
    arrays = {name: array.astype(np.float16) for name, array in arrays.items()}
    made = cut(text, arrays, {("w1", 0): [1], ("w2", 0): [0]})
    data = normal_data((1, 3, 8, 8), 8, dtype=np.float16)
    found = recovered(made, data)
    assert {a.dtype.name for n, a in found.graph.constants.items() if n[0] in "wb"} == {"float16"}
    fresh = normal_data((1, 3, 8, 8), 3, seed=1, dtype=np.float16)
    assert error(made.before, found.graph, fresh) < error(made.before, made.pruned, fresh)


def test_samples_may_differ_in_size():
    made = chain()
    rng = np.random.default_rng(0)
    sizes = [1, 2, 1, 3, 1, 2, 1, 1]
    feeds = ({"x": rng.standard_normal((n, 3, 8, 8)).astype(np.float32)} for n in sizes)
    found = recovered(made, data_of(*feeds))
    assert found.fits[0].rows == sum(sizes) * 64


def test_a_blank_first_sample_hides_no_layer():
    text = """net (float[1,3,8,8] x) => (float[1,5,8,8] y) {
        a = Conv(x, w)  p = Relu(a)  y = Conv(p, v) }"""
    made = cut(text, {"w": normal(6, 3, 1, 1), "v": normal(5, 6, 1, 1)}, {("w", 0): [4]})
    blank = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    others = ({"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(5))
    assert [fit.layer for fit in recovered(made, data_of(blank, *others)).fits] == ["y"]


@pytest.mark.parametrize("scale", ["alpha", "beta"])
def test_a_gemm_that_multiplies_by_zero_is_left(scale):
    text = f"""net (float[9,3] x) => (float[9,5] y) {{
        a = Gemm(x, d)  p = Relu(a)  y = Gemm<{scale} = 0.0>(p, e, c) }}"""
    made = cut(text, {"d": normal(3, 6), "e": normal(6, 5), "c": normal(5)}, {("d", 1): [4]})
    found = recovered(made, normal_data((9, 3), 4))
    assert found.left == {"they multiply in an unusual form": 1}
    assert found.fits == ()


def test_a_shortcut_that_is_spread_over_the_channels_is_no_goal():
    text = """net (float[1,3,8,8] x, float[1,1,8,8] s) => (float[1,4,8,8] z) {
        a = Conv(x, w)  p = Relu(a)  b = Conv(p, v)  y = Add(b, s)  z = Conv(y, u) }"""
    arrays = {"w": normal(6, 3, 1, 1), "v": normal(3, 6, 1, 1), "u": normal(4, 3, 1, 1)}
    made = cut(text, arrays, {("w", 0): [4], ("v", 0): [0, 2]})
    feeds = ({"x": normal(1, 3, 8, 8, seed=n), "s": normal(1, 1, 8, 8, seed=n)} for n in range(6))
    found = recovered(made, data_of(*feeds))
    assert [fit.layer for fit in found.fits] == ["b", "z"]


def test_a_bias_that_raises_the_rank_is_not_the_layers_own():
    text = """net (float[2,9,3] x) => (float[1,2,9,5] y) {
        a = MatMul(x, d)  p = Relu(a)  h = MatMul(p, e)  y = Add(h, c) }"""
    arrays = {"d": normal(3, 6), "e": normal(6, 5), "c": normal(1, 1, 1, 5)}
    made = cut(text, arrays, {("d", 1): [4]})
    found = recovered(made, normal_data((2, 9, 3), 6))
    assert [fit.layer for fit in found.fits] == ["h"]


def test_vectors_may_be_multiplied():
    text = """net (float[3] x) => (float[5] y) {
        a = MatMul(x, d)  p = Sigmoid(a)  y = MatMul(p, e) }"""
    made = cut(text, {"d": normal(3, 6), "e": normal(6, 5)}, {("d", 1): [4]})
    data = normal_data((3,), 60)
    found = recovered(made, data)
    assert (found.fits[0].layer, found.fits[0].rows) == ("y", 60)
    assert error(made.before, found.graph, data) < error(made.before, made.pruned, data)


def test_layers_that_are_best_as_they_are_get_no_bias(monkeypatch):
    made = twins("matmul")

    def keep(_fit, _held_out, matrix, bias):
        return Solution(matrix, bias, None, *[np.ones(bias.shape)] * 3)

    monkeypatch.setattr(sys.modules[reconstruct.__module__], "first_step", lambda *_: {})
    monkeypatch.setattr(ridge_problem, "solve", keep)
    found = recovered(made, normal_data(made.before.inputs[0].shape, 4))
    assert [fit.layer for fit in found.fits] == ["y"]
    assert whole(found.graph) == whole(made.pruned)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_names_the_layer(value):
    made = chain()
    broken = np.full((1, 3, 8, 8), value, np.float32)
    data = data_of({"x": normal(1, 3, 8, 8)}, {"x": broken}, {"x": normal(1, 3, 8, 8)})
    with pytest.raises(StatisticsError, match=r"layer that makes 'a' .* NaN or infinity"):
        recovered(made, data)


def test_one_sample_does_not_do_for_ridge():
    with pytest.raises(StatisticsError, match=r"at least 2 samples, got 1.*--recover bias"):
        recovered(chain(), normal_data((1, 3, 8, 8), 1))


def test_progress_counts_layers():
    made, told = chain(), []
    reconstruct(
        made.before, made.removal, normal_data((1, 3, 8, 8), 4), ReconstructOptions(),
        progress=lambda *what: told.append(what),
    )  # fmt: skip
    assert told[:4] == [("measure", number, 4) for number in (1, 2, 3, 4)]
    assert told[4:] == [("recover", 1, 3), ("recover", 2, 3), ("recover", 3, 3)]


def test_a_layer_with_few_rows_is_solved_for_from_rows_with_the_same_result(monkeypatch):
    made, data = chain(), normal_data((1, 3, 8, 8), 12)
    few = RowOptions(per_input=0.4)
    from_rows = recovered(made, data, rows=few)
    asked = []
    monkeypatch.setattr(ridge_problem, "solve_rows", lambda *rest: asked.append(rest))
    monkeypatch.setattr(ridge_problem, "FEW_ROWS", 10**6)
    from_gram = recovered(made, data, rows=few)
    assert not asked
    assert [fit.penalty for fit in from_rows.fits] == [fit.penalty for fit in from_gram.fits]
    for name in ("w2", "w3"):
        one, other = from_rows.graph.constants[name], from_gram.graph.constants[name]
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(("gain", "rows"), [(0.5, 12 * 64), (0.0, 96)])
def test_a_wide_layer_is_solved_for_from_all_rows_where_a_few_gain_something(
    monkeypatch, gain, rows
):
    made, data = twins("conv"), normal_data((1, 3, 8, 8), 12)
    monkeypatch.setattr(ridge_problem, "WIDE", 1)
    monkeypatch.setattr(ridge_problem, "TRIED_ROWS", 96)
    monkeypatch.setattr(ridge_problem, "best_gain", lambda *_: gain)
    found = recovered(made, data)
    assert [(fit.layer, fit.rows, fit.seen) for fit in found.fits] == [("y", rows, 12 * 64)]
    assert error(made.before, found.graph, normal_data((1, 3, 8, 8), 3, seed=1)) < 0.01
