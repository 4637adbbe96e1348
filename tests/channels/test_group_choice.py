"""Whether grouped convolutions lose whole groups or equal positions of all of them."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import (
    analyse,
    assert_every_cut_is_exact,
    build,
    draw_alive,
    normal,
)

from wrg_onnx.rewrite import apply_plan, plan_slices


def block(width, groups, *, blocks=1):
    """Residual blocks whose middle convolution is grouped, as in ResNeXt."""
    lines, weights, before = ["h0 = Conv(x, stem)"], {"stem": normal(8, 3, 1, 1)}, "h0"
    for k in range(blocks):
        lines.append(
            f"a{k} = Conv({before}, u{k}, c{k})  r{k} = Relu(a{k})  "
            f"g{k} = Conv<group = {groups}, pads = [1, 1, 1, 1]>(r{k}, w{k}, d{k})  "
            f"s{k} = Relu(g{k})  b{k} = Conv(s{k}, v{k})  h{k + 1} = Add({before}, b{k})"
        )
        before = f"h{k + 1}"
        weights |= {
            f"u{k}": normal(width, 8, 1, 1, seed=k), f"c{k}": normal(width, seed=k),
            f"w{k}": normal(width, width // groups, 3, 3, seed=k) / 4,
            f"d{k}": normal(width, seed=k),
            f"v{k}": normal(8, width, 1, 1, seed=k) / 4,
        }  # fmt: skip
    text = f"""net (float[1,3,6,6] x) => (float[1,2,6,6] y) {{
        {" ".join(lines)} y = Conv({before}, last) }}"""
    return build(text, {**weights, "last": normal(2, 8, 1, 1)})


def units_along(analysis, name, axis):
    return len(np.unique(analysis.labels(name, axis)))


def choices(analysis):
    return [node.choice for node in analysis.units.nodes.values() if node.in_groups is not None]


@pytest.mark.parametrize(("width", "groups"), [(32, 16), (24, 12), (64, 16)])
def test_many_narrow_groups_go_whole(width, groups):
    analysis = analyse(block(width, groups, blocks=2))
    for k in "01":
        assert analysis.tied((f"u{k}", 0), (f"w{k}", 0), (f"v{k}", 1), (f"d{k}", 0))
        assert units_along(analysis, f"w{k}", 0) == groups
        assert analysis.removable(f"w{k}", 0).all()
        assert not analysis.removable(f"w{k}", 1).any()
    assert_every_cut_is_exact(analysis)


@pytest.mark.parametrize(("width", "groups"), [(32, 2), (48, 4)])
def test_few_wide_groups_lose_equal_positions(width, groups):
    analysis = analyse(block(width, groups))
    assert units_along(analysis, "w0", 0) == units_along(analysis, "w0", 1) == width // groups
    assert not analysis.tied(("w0", 0), ("u0", 0))
    assert analysis.removable("w0", 1).all()
    assert_every_cut_is_exact(analysis)


def test_groups_go_where_equal_positions_are_held():
    """The model returns what the first group reads: every position of a group would stay for it."""
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] y, float[1,6,6,6] z) {
        a = Conv(x, u)  z = Slice(a, zero, six, one)
        g = Conv<group = 4>(a, w)  y = Conv(g, v) }"""
    weights = {
        "u": normal(24, 3, 1, 1), "w": normal(24, 6, 1, 1), "v": normal(2, 24, 1, 1),
        "zero": np.array([0]), "six": np.array([6]), "one": np.array([1]),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    assert analysis.removable("u", 0).tolist() == [False] * 6 + [True] * 18
    assert units_along(analysis, "w", 0) == 4
    assert_every_cut_is_exact(analysis)


def test_convolutions_in_a_row_choose_together():
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] y) {
        a = Conv(x, u)  g = Conv<group = 8>(a, w)  r = Relu(g)  h = Conv<group = 8>(r, t)
        y = Conv(h, v) }"""
    weights = {
        "u": normal(16, 3, 1, 1), "w": normal(32, 2, 1, 1), "t": normal(16, 4, 1, 1),
        "v": normal(2, 16, 1, 1),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    assert units_along(analysis, "u", 0) == 8
    assert analysis.tied(("u", 0), ("t", 0), ("v", 1))
    assert_every_cut_is_exact(analysis)


def test_a_shuffled_grouped_convolution_keeps_equal_positions():
    """As in ShuffleNet: the next groups have channels of all those before."""
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
        a = Conv(x, u)  g = Conv<group = 2>(a, w)  f = Reshape(g, s)
        p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  r = Reshape(p, t)
        h = Conv<group = 2>(r, k)  y = Conv(h, v) }"""
    weights = {
        "u": normal(16, 3, 1, 1), "w": normal(16, 8, 1, 1), "k": normal(16, 8, 1, 1),
        "v": normal(2, 16, 1, 1), "s": np.array([1, 2, 8, 4, 4]), "t": np.array([1, 16, 4, 4]),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    assert analysis.removable("u", 0).all()
    assert choices(analysis) == ["of 2 groups x 8 channels, equal positions of all groups go"] * 2
    assert_every_cut_is_exact(analysis)


def test_the_choice_is_reported():
    assert choices(analyse(block(32, 16))) == ["of 16 groups x 2 channels, whole groups go"]


def test_the_attribute_counts_the_groups_that_are_left():
    analysis = analyse(block(32, 16))
    alive = draw_alive(analysis.units, np.random.default_rng(0), share=0.5)
    pruned = apply_plan(analysis.graph, plan_slices(analysis.units, alive))
    node = next(n for n in pruned.nodes if "group" in n.attributes)
    width, inputs = pruned.constants.forms["w0"].shape[:2]
    assert inputs == 2
    assert node.int("group") == width // 2 < 16
