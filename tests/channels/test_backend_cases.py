"""The ONNX backend node cases that ship inside the onnx wheel judge the rules.

Every input of a case becomes a constant of the graph, so that its axes carry ids, and the outputs
are left free. Random units are removed; what the smaller node computes must be the kept positions
of what the original computes with the weights of removed units at zero.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state
from strategies import TOLERANCE, difference, draw_alive, run, whole

from wrg_onnx.channels import Kind, alive_ids, find_holds, find_units
from wrg_onnx.channels.roots import Way, ask_again
from wrg_onnx.channels.table import find_rule
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import infer_shapes
from wrg_onnx.graph.load import OLDEST_OPSET, from_proto
from wrg_onnx.rewrite import apply_plan, mask_consumers, plan_slices

SHARES = (0.3, 0.6, 1.0)

EXCLUDED = {
    f"test_training_dropout{case}": "which elements are dropped is drawn at random in ONNX Runtime"
    for case in ("", "_default", "_default_mask", "_mask")
} | {
    "test_attention_4d_diff_heads_mask4d_padded_kv":
        "ONNX Runtime wants a mask as long as the keys, and refuses the original",
    "test_convinteger_with_padding":
        "ONNX Runtime has no ConvInteger with a zero point per channel",
    **{
        f"test_{kind}_batchwise": "ONNX Runtime has no form with the batch first (layout 1)"
        for kind in ("gru", "lstm", "simple_rnn")
    },
}  # fmt: skip
EXCLUDED_OPERATORS = {
    "Shape": "its output counts what is left; the graph's analysis holds what counts turn into",
}
NOT_NUMPY = "OSUV"
"""Kinds of arrays that the test cannot compare: strings, and floats that numpy lacks."""


@cache
def cases():
    """Return the cases of one node that has a rule, and whose inputs and outputs are tensors."""
    with warnings.catch_warnings():
        # Computing the expected values overflows here and there on purpose.
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        collected = collect_testcases(None)
    return {case.name: case for case in collected if is_covered(case)}


def is_covered(case) -> bool:
    opsets = {imported.domain: imported.version for imported in case.model.opset_import}
    if opsets.get("", OLDEST_OPSET) < OLDEST_OPSET or len(case.model.graph.node) != 1:
        return False
    arrays = [array for inputs, outputs in case.data_sets for array in (*inputs, *outputs)]
    if not all(isinstance(array, (np.ndarray, np.generic)) for array in arrays):
        return False
    if any(array.dtype.kind in NOT_NUMPY for array in arrays):
        return False
    nodes = read(case).nodes
    return bool(nodes) and nodes[0].op not in EXCLUDED_OPERATORS and find_rule(nodes[0]) is not None


def read(case):
    """Read a case as a graph without inputs: what it feeds are constants."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    fed = zip(model.graph.input, case.data_sets[0][0], strict=True)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), value.name) for value, array in fed
    )
    del model.graph.input[:]
    return from_proto(model, name=case.name)


def runs(model) -> bool:
    """Tell whether ONNX Runtime has an implementation of the operator and its types."""
    try:
        run(model, {})
    except (state.NotImplemented, state.RuntimeException):
        return False
    return True


@cache
def prune_in_a_few_ways(name) -> list[tuple[int, float]] | None:
    """Prune a case by random units; None where ONNX Runtime does not run it.

    Returns:
        How many units were removed each time, and how far the outputs are from what is expected.
    """
    graph = read(cases()[name])
    if not runs(whole(graph)):
        return None
    units = find_units(replace(graph, outputs=()), infer_shapes(graph, {}))
    found = []
    for number, share in enumerate(SHARES):
        alive = draw_alive(units, np.random.default_rng(number), share)
        if alive.all():
            continue
        plan = plan_slices(units, alive)
        expected = run(whole(mask_consumers(graph, plan)), {})
        look = alive_ids(units, alive)
        for position, value in enumerate(graph.outputs):
            for axis, ids in enumerate(units.axes[value.name].ids):
                if ids is not None:
                    kept = look(ids)
                    expected[position] = np.compress(kept, expected[position], axis=axis)
        error = difference(expected, run(whole(apply_plan(graph, plan)), {}))
        found.append((int((~alive).sum()), error))
    return found


@pytest.mark.parametrize("name", sorted(cases()))
def test_pruned_node_computes_the_kept_positions(name):
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    found = prune_in_a_few_ways(name)
    if found is None:
        pytest.skip("ONNX Runtime has no implementation")
    assert all(error <= TOLERANCE for _, error in found), found


def test_something_is_removed_in_most_cases():
    found = {name: prune_in_a_few_ways(name) for name in cases() if name not in EXCLUDED}
    ran = [name for name, prunings in found.items() if prunings is not None]
    cut = {name for name in ran if any(removed for removed, _ in found[name])}
    operators = {cases()[name].model.graph.node[0].op_type for name in cut}
    assert len(ran) > 850
    assert len(cut) > 600
    assert len(operators) > 120


@pytest.mark.parametrize("way", Way)
def test_every_rule_can_be_asked_again(way):
    asked = 0
    for name, case in cases().items():
        for graph in (read(case), from_proto(case.model, name=name)):
            fed = zip(graph.inputs, case.data_sets[0][0], strict=False)
            try:
                shapes = infer_shapes(graph, {value.name: np.shape(array) for value, array in fed})
            except ModelError:
                continue  # ONNX Runtime has no implementation
            units = find_units(graph, shapes)
            for analysed in units.nodes.values():
                answer = ask_again(analysed.call, len(units.labels), way)
                assert len(answer.coupling.outputs) == len(analysed.outputs)
                asked += 1
            assert all(hold.root.kind is not Kind.MEETS for hold in find_holds(units)), name
    assert asked > 1500


def test_every_exclusion_names_a_case_that_exists():
    assert set(EXCLUDED) <= set(cases())
