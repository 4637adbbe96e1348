"""Whole random networks inside branches and loop bodies: the same is cut, and as exactly."""

from __future__ import annotations

import numpy as np
import pytest
from control_networks import (
    in_branches,
    in_loop,
    is_map,
    is_valid,
    over_a_scan,
    round_a_loop,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import (
    Analysis,
    analyse,
    assert_identity,
    assert_surgery_is_exact,
    draw_alive,
    networks,
    repeatable,
)

from wrg_onnx.channels import find_units
from wrg_onnx.graph import bind_sizes, infer_shapes, other_sizes


def removable(analysis):
    """Count the removable positions of each constant axis, by the name without its scope."""
    found = {}
    for slot in analysis.units.slots:
        count = int(analysis.units.removable[analysis.units.slot_units(slot)].sum())
        found.setdefault((slot.name.rpartition("/")[2], slot.axis), set()).add(count)
    return found


def check(analysis, seed):
    assert_identity(analysis)
    alive = draw_alive(analysis.units, np.random.default_rng(seed), 0.6)
    is_open = not isinstance(analysis.graph.inputs[0].shape[0], int)
    assert_surgery_is_exact(analysis, alive, batches=(1, 2) if is_open else (None,))


@pytest.mark.parametrize("own", [True, False])
@settings(repeatable, max_examples=25)
@given(model=networks(), seed=st.integers(0, 2**16), condition=st.booleans())
def test_network_in_branches_is_pruned_as_exactly(own, model, seed, condition):
    model = in_branches(model, condition, own=own)
    assume(is_valid(model))
    analysis = analyse(model)
    check(analysis, seed)


@settings(repeatable, max_examples=25)
@given(model=networks(), seed=st.integers(0, 2**16))
def test_network_in_a_loop_body_is_pruned_as_exactly(model, seed):
    check(analyse(in_loop(model)), seed)


@pytest.mark.parametrize("build", [round_a_loop, over_a_scan])
@pytest.mark.parametrize("own", [True, False])
@settings(repeatable, max_examples=15)
@given(model=networks(), seed=st.integers(0, 2**16), stated=st.booleans())
def test_network_that_a_state_goes_through_is_pruned_as_exactly(build, own, model, seed, stated):
    assume(is_map(model))
    model = build(model, own=own, stated=stated)
    assume(is_valid(model))
    analysis = analyse(model)
    assert analysis.removable("begins", 0).all(), analysis.reasons("begins", 0)
    assert analysis.tied(("begins", 0), ("out_of", 0), ("ends", 1))
    check(analysis, seed)


@settings(repeatable, max_examples=25)
@given(model=networks())
def test_a_branch_holds_no_more_back_than_the_main_graph(model):
    outside, inside = analyse(model), analyse(in_branches(model, condition=True, own=True))
    counts = removable(inside)
    for key, expected in removable(outside).items():
        # graphsurgeon drops what no node of a body reads
        assert counts.get(key, expected) == expected, key


@settings(repeatable, max_examples=25)
@given(model=networks(), seed=st.integers(0, 2**16))
def test_open_sizes_are_followed_into_bodies(model, seed):
    first = analyse(in_branches(model, condition=True, own=True))
    inputs = first.graph.inputs
    others = other_sizes(inputs, bind_sizes(inputs, image_size=8))
    elsewhere = infer_shapes(first.graph, others) if others else None
    units = find_units(first.graph, first.shapes, elsewhere=elsewhere)
    check(Analysis(first.model, first.graph, first.shapes, units), seed)
