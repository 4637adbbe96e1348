from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, draw_alive, normal, whole

from wrg_onnx.errors import ValidationError
from wrg_onnx.graph import bind_sizes, edited
from wrg_onnx.graph.edit import Edit
from wrg_onnx.rewrite import (
    Plan,
    apply_plan,
    mask_consumers,
    plan_slices,
    validate_translation,
)

TEXT = """net (float[1,3,6,6] x) => (float[1,2,6,6] out) {
  a = Conv(x, wa, ba)  r = Relu(a)  b = Conv(x, wb)
  c = Concat<axis = 1>(r, b)  g = Conv<group = 2>(c, wg)  d = Conv<group = 8>(g, wd)
  h = Conv(d, wh)  s = Reshape(h, t)  u = Reshape(s, v)  out = Conv(u, wo) }"""
WEIGHTS = {
    "wa": normal(8, 3, 1, 1), "ba": normal(8), "wb": normal(8, 3, 1, 1, seed=1),
    "wg": normal(8, 8, 1, 1), "wd": normal(8, 1, 1, 1), "wh": normal(6, 8, 1, 1),
    "t": np.array([1, 6, 36]), "v": np.array([1, 6, 6, 6]), "wo": normal(2, 6, 1, 1),
}  # fmt: skip


@pytest.fixture
def analysis():
    return analyse(build(TEXT, WEIGHTS))


@pytest.fixture
def plan(analysis):
    return plan_slices(analysis.units, draw_alive(analysis.units, np.random.default_rng(3)))


@pytest.fixture
def shapes(analysis):
    return bind_sizes(analysis.graph.inputs)


def bytes_of(graph):
    return whole(graph).SerializeToString(deterministic=True)


def changed(plan, **fields):
    own = {
        name: getattr(plan, name) for name in ("units", "alive", "kept", "attributes", "operands")
    }
    return Plan(**{**own, **fields})


DIFFERS = "from the masked original"


def failure(analysis, plan, pruned, shapes):
    with pytest.raises(ValidationError) as caught:
        validate_translation(analysis.graph, pruned, plan, shapes)
    assert caught.value.exit_code == 3
    assert caught.value.error > caught.value.tolerance
    assert "\n" not in str(caught.value)
    assert "nothing was written" in str(caught.value)
    return str(caught.value)


def test_plan_lists_what_it_keeps(analysis, plan):
    assert set(plan.kept) == {"wa", "ba", "wb", "wg", "wd", "wh", "wo"}
    for name, kept in plan.kept.items():
        for axis, positions in enumerate(kept):
            if positions is not None:
                assert (np.diff(positions) > 0).all()
                assert len(positions) < analysis.graph.constants[name].shape[axis]


def test_planning_changes_nothing(analysis):
    before = bytes_of(analysis.graph)
    labels, reason = analysis.units.labels.copy(), analysis.units.reason.copy()
    alive = draw_alive(analysis.units, np.random.default_rng(3))
    given = alive.copy()
    first, again = plan_slices(analysis.units, alive), plan_slices(analysis.units, alive)
    assert bytes_of(analysis.graph) == before
    np.testing.assert_array_equal(alive, given)
    np.testing.assert_array_equal(analysis.units.labels, labels)
    np.testing.assert_array_equal(analysis.units.reason, reason)
    assert repr(first.kept) == repr(again.kept)
    assert repr(first.operands) == repr(again.operands)
    assert first.attributes == again.attributes


def test_frozen_unit_cannot_be_removed(analysis):
    alive = np.ones(analysis.units.count, bool)
    alive[np.flatnonzero(~analysis.units.removable)[0]] = False
    with pytest.raises(ValueError, match="a frozen unit is selected for removal"):
        plan_slices(analysis.units, alive)


def test_applying_leaves_the_source_untouched(analysis, plan):
    before = bytes_of(analysis.graph)
    pruned = apply_plan(analysis.graph, plan)
    assert bytes_of(analysis.graph) == before
    assert pruned.constants["wa"].shape[0] < 8
    assert not pruned.constants["wa"].flags.writeable
    assert analysis.graph.constants["wa"].shape == (8, 3, 1, 1)


def test_names_stay(analysis, plan):
    pruned = apply_plan(analysis.graph, plan)
    assert [node.name for node in pruned.nodes] == [node.name for node in analysis.graph.nodes]
    assert pruned.inputs == analysis.graph.inputs
    assert pruned.outputs == analysis.graph.outputs
    assert set(analysis.graph.constants) <= set(pruned.constants) | {"t", "v"}


def test_mask_keeps_every_shape(analysis, plan):
    masked = mask_consumers(analysis.graph, plan)
    for name, array in analysis.graph.constants.items():
        assert masked.constants[name].shape == array.shape
    assert (masked.constants["wo"] == 0).any()
    np.testing.assert_array_equal(masked.constants["wa"], analysis.graph.constants["wa"])


def test_right_surgery_passes(analysis, plan, shapes):
    found = validate_translation(analysis.graph, apply_plan(analysis.graph, plan), plan, shapes)
    assert found.error < 1e-5
    assert found.tensors >= 2


@pytest.mark.parametrize("name", ["wa", "ba", "wb", "wg", "wd", "wh", "wo"])
def test_wrong_kept_positions_in_one_constant_are_found(analysis, plan, shapes, name):
    kept = list(plan.kept[name])
    axis = next(axis for axis, positions in enumerate(kept) if positions is not None)
    length = analysis.graph.constants[name].shape[axis]
    gone = np.setdiff1d(np.arange(length), kept[axis])
    kept[axis] = np.sort(np.append(kept[axis][1:], gone[0]))
    wrong = changed(plan, kept={**plan.kept, name: tuple(kept)})
    assert DIFFERS in failure(analysis, plan, apply_plan(analysis.graph, wrong), shapes)


def test_constant_that_was_not_cut_is_found(analysis, plan, shapes):
    kept = {name: positions for name, positions in plan.kept.items() if name != "wo"}
    pruned = apply_plan(analysis.graph, changed(plan, kept=kept))
    assert "does not run" in failure(analysis, plan, pruned, shapes)


def test_wrong_group_is_found(analysis, plan, shapes):
    node = next(n.index for n in analysis.graph.nodes if n.int("group", 1) == 8)
    assert plan.attributes[node]["group"] < 8
    attributes = {**plan.attributes, node: {"group": 8}}
    pruned = apply_plan(analysis.graph, changed(plan, attributes=attributes))
    found = failure(analysis, plan, pruned, shapes)
    assert "does not run" in found


def test_wrong_reshape_target_is_found(analysis, plan, shapes):
    assert plan.operands
    pruned = apply_plan(analysis.graph, changed(plan, operands={}))
    found = failure(analysis, plan, pruned, shapes)
    assert "does not run" in found


def test_swapped_order_of_a_concat_is_found(analysis, plan, shapes):
    pruned = apply_plan(analysis.graph, plan)
    half = np.roll(np.arange(pruned.constants["wg"].shape[0]), 1)
    swapped = edited(pruned, Edit(constants={"wg": pruned.constants["wg"][half]}))
    found = failure(analysis, plan, swapped, shapes)
    assert DIFFERS in found


def test_small_change_of_one_weight_is_found(analysis, plan, shapes):
    pruned = apply_plan(analysis.graph, plan)
    wrong = pruned.constants["wh"].copy()
    wrong[0] += 0.01
    assert DIFFERS in failure(analysis, plan, edited(pruned, Edit(constants={"wh": wrong})), shapes)


def test_weight_that_is_no_number_is_found(analysis, plan, shapes):
    pruned = apply_plan(analysis.graph, plan)
    wrong = pruned.constants["wh"].copy()
    wrong[0] = np.nan
    assert DIFFERS in failure(analysis, plan, edited(pruned, Edit(constants={"wh": wrong})), shapes)


def test_saturated_sigmoid_does_not_hide_a_broken_surgery():
    text = """net (float[1,3,6,6] x) => (float[1,1,6,6] y) {
      a = Conv(x, wa)  r = Relu(a)  z = Conv(r, wz, bz)  y = Sigmoid(z) }"""
    weights = {
        "wa": normal(8, 3, 1, 1), "wz": normal(1, 8, 1, 1), "bz": np.float32([200.0]),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    alive = draw_alive(analysis.units, np.random.default_rng(0))
    plan = plan_slices(analysis.units, alive)
    pruned = apply_plan(analysis.graph, plan)
    shapes = bind_sizes(analysis.graph.inputs)
    validate_translation(analysis.graph, pruned, plan, shapes)
    kept = pruned.constants["wa"]
    wrong = edited(pruned, Edit(constants={"wa": kept[np.roll(np.arange(len(kept)), 1)]}))
    found = failure(analysis, plan, wrong, shapes)
    assert DIFFERS in found
