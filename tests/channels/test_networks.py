"""Whole random networks: what is pruned computes what the masked original computes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    analyse,
    assert_identity,
    assert_surgery_is_exact,
    draw_alive,
    networks,
    repeatable,
)

from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation


def batches_of(analysis):
    return (None,) if isinstance(analysis.graph.inputs[0].shape[0], int) else (1, 2)


@settings(repeatable, max_examples=150)
@given(model=networks(), seed=st.integers(0, 2**16), share=st.sampled_from([0.3, 0.6, 1.0]))
def test_pruned_network_equals_the_masked_original(model, seed, share):
    analysis = analyse(model)
    alive = draw_alive(analysis.units, np.random.default_rng(seed), share)
    assert_surgery_is_exact(analysis, alive, batches=batches_of(analysis))


@settings(repeatable, max_examples=40)
@given(model=networks())
def test_empty_selection_is_the_identity(model):
    assert_identity(analyse(model))


@settings(repeatable, max_examples=40)
@given(model=networks(), seed=st.integers(0, 2**16))
def test_own_validation_accepts_every_pruned_network(model, seed):
    analysis = analyse(model)
    alive = draw_alive(analysis.units, np.random.default_rng(seed))
    plan = plan_slices(analysis.units, alive)
    shapes = {v.name: analysis.shapes[v.name] for v in analysis.graph.inputs}
    pruned = apply_plan(analysis.graph, plan)
    assert validate_translation(analysis.graph, pruned, plan, shapes).error < 1e-4


@settings(repeatable, max_examples=40)
@given(model=networks())
def test_analysis_is_the_same_each_time(model):
    first, again = analyse(model).units, analyse(model).units
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.reason, again.reason)
    np.testing.assert_array_equal(first.group, again.group)
    assert first.reasons == again.reasons


@settings(repeatable, max_examples=40)
@given(model=networks())
def test_group_members_have_the_same_number_of_positions_in_each_slot(model):
    units = analyse(model).units
    for slot in units.slots:
        counts = np.bincount(units.slot_units(slot), minlength=units.count)
        for group in np.unique(units.group):
            assert len(np.unique(counts[units.group == group])) == 1


def test_random_networks_lose_channels():
    """The other tests would pass if nothing were ever removed."""
    removed = []

    @settings(repeatable, max_examples=30)
    @given(model=networks())
    def look(model):
        removed.append(analyse(model).units.removable.sum())

    look()
    assert np.mean(np.array(removed) > 0) > 0.8
