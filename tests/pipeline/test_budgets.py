"""Ratios and limits of each quantity are met by what is written, or runs."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import numpy as np
import onnx
import pytest
from strategies import build, normal

from wrg_onnx.choices import BudgetKind, Recovery
from wrg_onnx.errors import BudgetError, UsageError
from wrg_onnx.graph import file_bytes, save
from wrg_onnx.latency import ChannelSteps, CostTable, TableOptions, cost_table, kept_table
from wrg_onnx.latency.layers import find_timed_layers
from wrg_onnx.pipeline import aim, quantities
from wrg_onnx.pipeline.aim import take_aim
from wrg_onnx.pipeline.alignment import group_steps, layers_off, rounding_note
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.progress import silent
from wrg_onnx.select import Criterion

WIDTHS = (48, 64, 40)


@pytest.fixture
def model(tmp_path):
    """Four convolutions in a row, without biases."""
    text, weights, before = "b0 = Identity(x)", {}, 3
    for number, width in enumerate(WIDTHS):
        weights[f"w{number + 1}"] = normal(width, before, 3, 3, seed=number)
        text += f"  a{number + 1} = Conv<pads=[1,1,1,1]>(b{number}, w{number + 1})"
        text += f"  b{number + 1} = Relu(a{number + 1})"
        before = width
    weights["w4"] = normal(1, before, 1, 1)
    graph = build(
        f"net (float[1,3,16,16] x) => (float[1,1,16,16] y) {{ {text}  y = Conv(b3, w4) }}", weights
    )
    path = tmp_path / "model.onnx"
    onnx.save(graph, path)
    return path


def made_table(units):
    """Make a table in which each layer takes what it multiplies."""
    rates = {}
    for layer in find_timed_layers(units).layers:
        widest = max(len(feature.axes) for feature in layer.features)
        counts = [
            float(len(feature.axes) == widest and feature.outside is None)
            for feature in layer.features
        ]
        rates[layer.name] = 1e-3 * np.array(counts)
    return CostTable(ChannelSteps(1, 1), rates, 0.0, 10.0, 0.0, 0.0, 1, 0.0)


@pytest.fixture
def made_machine(monkeypatch):
    """Let each layer take what it multiplies, and a fifth of the time stay whatever goes."""

    def real(trial):
        budget = trial.model.budget(BudgetKind.LATENCY)
        whole = budget.cost(trial.model.everything)
        return quantities.Left(0.8 * budget.cost(trial.alive) + 0.2 * whole, "who knows")

    def table(_graph, units, *_, **__):
        return made_table(units)

    monkeypatch.setattr(kept_table, "measure_table", table)
    monkeypatch.setattr(aim, "measure_steps", lambda *_: ChannelSteps(16, 4))
    own = quantities.QUANTITIES[BudgetKind.LATENCY]
    monkeypatch.setitem(
        quantities.QUANTITIES, BudgetKind.LATENCY, dataclasses.replace(own, real=real)
    )


def config(ratio=0.0, budget=BudgetKind.PARAMS, **options):
    options = {"criterion": Criterion.L1, "evaluate": False} | options
    return PruneConfig(ratio, budget=budget, **options)


def test_a_ratio_of_bytes_is_that_of_the_file(model, tmp_path):
    target = tmp_path / "small.onnx"
    report = prune(model, target, config(0.4, BudgetKind.BYTES)).report
    sizes = [path.stat().st_size for path in (model, target)]
    assert report.before.file_bytes == sizes[0]
    assert report.after.file_bytes == sizes[1]
    assert abs(report.reached - (1 - sizes[1] / sizes[0])) < 0.001
    assert abs(report.reached - 0.4) < 0.02


@pytest.mark.parametrize("recover", [Recovery.NONE, Recovery.BIAS], ids=lambda r: r.value)
@pytest.mark.parametrize("share", [0.8, 0.5, 0.3])
def test_limits_hold_for_what_is_written(model, tmp_path, recover, share):
    found = take_aim(analyse(model, DataOptions()), config(0.1), silent).model
    for kind in (BudgetKind.PARAMS, BudgetKind.MACS, BudgetKind.BYTES):
        limit = share * found.budget(kind).cost(found.everything)
        asked = config(budget=kind, limit=limit, recover=recover, data=DataOptions(samples=4))
        target = tmp_path / f"{kind.value}.onnx"
        report = prune(model, target, asked).report
        left = {
            BudgetKind.PARAMS: report.after.parameters,
            BudgetKind.MACS: report.after.macs,
            BudgetKind.BYTES: target.stat().st_size,
        }[kind]
        assert left <= limit
        assert left >= 0.9 * limit
        assert report.target.limit == limit
        assert (report.target.kind, report.budget) == (kind.value, kind.value)


def test_a_limit_that_nothing_meets_says_what_does(model):
    with pytest.raises(BudgetError, match=r"cannot get down to 10 parameters.*the least of") as at:
        prune(model, None, config(limit=10.0))
    assert 0.9 < at.value.possible < 1


def test_a_limit_that_is_met_already_lets_nothing_go(model):
    report = prune(model, None, config(limit=1e9)).report
    assert (report.removed, report.reached) == (0, 0.0)
    assert any("nothing had to go" in note for note in report.notes)


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("external_data", [False, True])
def test_a_limit_of_bytes_holds_for_all_that_is_written(model, tmp_path, rounds, external_data):
    limit = 0.5 * model.stat().st_size
    target = tmp_path / "small.onnx"
    asked = config(
        budget=BudgetKind.BYTES, limit=limit, recover=Recovery.BIAS, rounds=rounds,
        data=DataOptions(samples=4),
    )  # fmt: skip
    report = prune(model, target, asked, external_data=external_data).report
    written = sum(path.stat().st_size for path in tmp_path.glob("small.onnx*"))
    assert written == report.after.file_bytes
    assert 0.85 * limit <= written <= limit


def test_a_limit_of_parameters_holds_where_readers_get_vectors_of_their_own(tmp_path):
    text = """net (float[1,3,8,8] x) => (float[1,4,8,8] y) {
        a = Conv(x, w1, shared)  b = Relu(a)  c = Conv(x, w2, shared)  d = Relu(c)
        e = Conv(b, w3)  f = Conv(d, w4)  y = Add(e, f) }"""
    weights = {
        "w1": normal(24, 3, 1, 1), "w2": normal(24, 3, 1, 1, seed=1), "shared": normal(24),
        "w3": normal(4, 24, 1, 1), "w4": normal(4, 24, 1, 1, seed=2),
    }  # fmt: skip
    path = tmp_path / "model.onnx"
    onnx.save(build(text, weights), path)
    for limit in (240.0, 200.0, 120.0):
        report = prune(path, None, config(limit=limit)).report
        assert report.after.parameters <= limit


@pytest.mark.parametrize("kind", list(BudgetKind), ids=lambda kind: kind.value)
def test_a_model_without_weights_has_nothing_to_cut(tmp_path, kind):
    path = tmp_path / "model.onnx"
    onnx.save(build("net (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }", {}), path)
    with pytest.raises(BudgetError, match="nothing can be cut"):
        prune(path, None, config(0.3, kind))


def test_layers_of_several_groups_are_counted_where_their_sum_is_no_multiple(model):
    units = analyse(model, DataOptions()).units
    alive = np.ones(units.count, bool)
    assert layers_off(units, alive, 16) == 0
    slots = {s.name: units.slot_units(s) for s in units.slots if s.axis == 0}
    alive[slots["w1"][:16]] = False
    alive[slots["w2"][:17]] = False
    assert layers_off(units, alive, 16) == 1


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_a_limit_is_positive(limit):
    with pytest.raises(UsageError, match="limit must be above 0"):
        config(limit=limit)


@pytest.mark.parametrize("align", [0, -4, "fast", True])
def test_an_alignment_is_auto_or_a_number(align):
    with pytest.raises(UsageError, match="align must be auto or a number"):
        config(0.5, align=align)


@pytest.mark.parametrize("kind", [BudgetKind.PARAMS, BudgetKind.MACS, BudgetKind.BYTES])
def test_aligned_layers_keep_multiples_within_the_budget(model, kind):
    report = prune(model, None, config(0.5, kind, align=16)).report
    kept = [group.kept for group in report.groups]
    assert all(count % 16 == 0 or count == width for count, width in zip(kept, WIDTHS, strict=True))
    assert report.reached >= 0.5 - 1e-6
    assert report.target.align == 16


def test_alignment_that_does_not_allow_a_ratio_says_what_it_allows(model):
    with pytest.raises(BudgetError, match="the most is"):
        prune(model, None, config(0.95, align=32))


def test_without_alignment_a_layer_keeps_any_number(model):
    report = prune(model, None, config(0.5)).report
    assert report.target.align is None
    assert any(group.kept % 4 for group in report.groups)


def test_steps_are_whole_blocks_and_fine_ones_in_narrow_layers(model):
    units = analyse(model, DataOptions()).units
    total = np.bincount(units.group)
    free = np.unique(units.group[units.removable])

    def by_width(steps):
        return {int(total[group]): int(group_steps(units, steps)[group]) for group in free}

    assert by_width(ChannelSteps(48, 4)) == {48: 48, 64: 48, 40: 4}
    assert by_width(ChannelSteps(64, 64)) == {48: 64, 64: 64, 40: 64}


def test_steps_of_heads_are_counted_in_channels():
    text = """net (float[1,4,6] x) => (float[1,4,6] y) {
        q0 = MatMul(x, wq)  k0 = MatMul(x, wk)  v0 = MatMul(x, wv)
        shape = Constant<value = int64[4] {0, 0, 8, 8}>()  back = Constant<value = int64[3] {0, 0, -1}>()
        q1 = Reshape(q0, shape)  k1 = Reshape(k0, shape)  v1 = Reshape(v0, shape)
        q = Transpose<perm=[0,2,1,3]>(q1)  k = Transpose<perm=[0,2,3,1]>(k1)
        v = Transpose<perm=[0,2,1,3]>(v1)  s = MatMul(q, k)  p = Softmax(s)  o0 = MatMul(p, v)
        o1 = Transpose<perm=[0,2,1,3]>(o0)  o = Reshape(o1, back)  y = MatMul(o, wo) }"""  # noqa: E501
    weights = {
        "wq": normal(6, 64), "wk": normal(6, 64), "wv": normal(6, 64), "wo": normal(64, 6),
    }  # fmt: skip
    units = analyse(build(text, weights), DataOptions()).units
    heads = [int(g) for g in np.unique(units.group[units.removable])]
    steps = group_steps(units, ChannelSteps(16, 4))
    assert {int(steps[group]) for group in heads} == {2}  # heads of 8 channels


@pytest.mark.usefixtures("made_machine")
def test_latency_is_met_by_what_is_measured_and_not_by_the_table(model):
    report = prune(model, None, config(0.4, BudgetKind.LATENCY, align=1)).report
    assert abs(report.reached - 0.4) < 0.03
    assert report.target.after == pytest.approx(report.target.before * (1 - report.reached))
    assert "who knows" in report.notes


@pytest.mark.usefixtures("made_machine")
def test_a_limit_of_latency_is_not_passed(model):
    found = prune(model, None, config(0.1, BudgetKind.LATENCY)).report.target.before
    report = prune(model, None, config(budget=BudgetKind.LATENCY, limit=0.6 * found)).report
    assert report.target.after <= 0.6 * found
    assert report.target.after > 0.5 * found


@pytest.mark.usefixtures("made_machine")
def test_a_limit_of_latency_that_no_cut_meets_says_what_the_least_took(model):
    found = prune(model, None, config(0.1, BudgetKind.LATENCY)).report.target.before
    # A fifth stays whatever goes, of which the table knows nothing.
    with pytest.raises(BudgetError) as caught:
        prune(model, None, config(budget=BudgetKind.LATENCY, limit=0.21 * found))
    said = str(caught.value)
    assert said.startswith(f"cannot get down to {0.21 * found:.3g} ms: the least that was tried")
    assert f" of {found:.3g} ms" in said
    assert 0.5 < caught.value.possible < 0.79


@pytest.mark.usefixtures("made_machine")
@pytest.mark.parametrize("criterion", [Criterion.L1, Criterion.REPAIR], ids=lambda c: c.name)
def test_latency_is_a_budget_like_the_others(model, tmp_path, criterion):
    target = tmp_path / "fast.onnx"
    asked = config(
        0.3, BudgetKind.LATENCY, criterion=criterion, data=DataOptions(samples=4),
        cache=tmp_path / "cache",
    )  # fmt: skip
    report = prune(model, target, asked).report
    assert (report.target.kind, report.target.align) == ("latency", 16)
    assert all(group.kept % 16 == 0 or group.kept == 40 for group in report.groups)
    assert target.exists()
    assert any("cost table" in note for note in report.notes)
    again = prune(model, None, asked).report
    assert any("once took" in note for note in again.notes)


def test_the_table_of_this_machine_is_measured_and_kept(model, tmp_path, monkeypatch):
    few = partial(TableOptions, most=4, fewest=4, runs=2, each_s=0.0)
    monkeypatch.setattr(aim, "TableOptions", few)
    monkeypatch.setattr(cost_table, "NOISY_ERROR", np.inf)
    monkeypatch.setattr(cost_table, "NOISY_SPREAD", np.inf)
    monkeypatch.setattr(aim, "measure_steps", lambda *_: ChannelSteps(16, 4))
    asked = config(0.0, BudgetKind.LATENCY, cache=tmp_path)
    first = prune(model, None, asked).report
    assert any("cost table of this machine took" in note for note in first.notes)
    assert len(list(tmp_path.glob("*.latency.npz"))) == 1
    second = prune(model, None, asked).report
    assert second.target.before == first.target.before


def test_the_size_of_a_file_is_known_before_it_is_written(model, tmp_path):
    graph = analyse(model, DataOptions()).graph
    size = file_bytes(graph)
    path = tmp_path / "again.onnx"
    assert save(graph, path) == size == path.stat().st_size


def test_what_rounding_costs_is_told_where_it_is_much(model):
    found = analyse(model, DataOptions())
    alive = found.everything.copy()
    assert rounding_note(found, alive, ChannelSteps(8, 4)) is None
    for name, gone in (("w1", 15), ("w2", 15)):
        slot = next(s for s in found.units.slots if s.name == name and s.axis == 0)
        alive[found.units.slot_units(slot)[:gone]] = False
    note = rounding_note(found, alive, ChannelSteps(8, 4))
    assert "take channels 8 at a time" in note
    assert "--align auto" in note


def test_a_busy_machine_is_told_of(model, monkeypatch):
    few = partial(TableOptions, most=4, fewest=4, runs=2, each_s=0.0)
    monkeypatch.setattr(aim, "TableOptions", few)
    monkeypatch.setattr(aim, "measure_steps", lambda *_: ChannelSteps(16, 4))
    monkeypatch.setattr(cost_table, "NOISY_SPREAD", -1.0)
    report = prune(model, None, config(0.0, BudgetKind.LATENCY)).report
    assert any("busy" in note and "close other programs" in note for note in report.notes)
