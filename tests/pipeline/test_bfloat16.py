"""Models in bfloat16, most of which ONNX Runtime's CPU does not run, are cut and proven."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from strategies import build, copy_of, normal

from wrg_onnx.channels import Limits, find_units
from wrg_onnx.choices import BudgetKind
from wrg_onnx.errors import ModelError, UsageError, ValidationError
from wrg_onnx.graph import (
    Edit,
    bind_sizes,
    edited,
    fit_to_kernels,
    from_proto,
    infer_shapes,
    run,
    to_message,
)
from wrg_onnx.graph.widen import widen_message
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery, ValidateConfig
from wrg_onnx.pipeline.inspect import inspect
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.pipeline.validate import validate
from wrg_onnx.report.as_json import to_plain
from wrg_onnx.report.as_text import to_text
from wrg_onnx.rewrite import apply_plan, compare_with, plan_slices, run_masked
from wrg_onnx.select import Criterion

HALF = np.dtype(ml_dtypes.bfloat16)


def half(*shape):
    return normal(*shape).astype(HALF)


MODELS = {
    "convolutions": (
        """net (bfloat16[1,3,16,16] x) => (bfloat16[1,4] y) <bfloat16[1,16,16,16] a> {
        a = Conv<pads = [1,1,1,1]>(x, w1, b1)  r = Relu(a)  b = Conv(r, w2)  q = Relu(b)
        g = GlobalAveragePool(q)  f = Flatten(g)  y = Gemm<transB = 1>(f, w3) }""",
        {"w1": half(16, 3, 3, 3), "b1": half(16), "w2": half(24, 16, 3, 3), "w3": half(4, 24)},
    ),
    "tokens": (
        """net (int64[N,6] ids) => (bfloat16[N,6,5] y) {
        e = Gather(table, ids)  n = LayerNormalization(e, s, o)  a = MatMul(n, w1)  c = Add(a, b1)
        r = Gelu(c)  m = MatMul(r, w2)  z = Add(e, m)  y = MatMul(z, w3) }""",
        {
            "table": half(50, 16), "s": half(16), "o": half(16), "w1": half(16, 64),
            "b1": half(64), "w2": half(64, 16), "w3": half(16, 5),
        },
    ),
    "inside a float32 model": (
        """net (float[1,8] x) => (float[1,4] y) {
        a = MatMul(x, w1)  r = Relu(a)  h = Cast<to = 16>(r)  b = MatMul(h, w2)  k = Relu(b)
        f = Cast<to = 1>(k)  y = MatMul(f, w3) }""",
        {"w1": normal(8, 32), "w2": half(32, 48), "w3": normal(48, 4)},
    ),
    "a branch": (
        """net (bfloat16[2,8] x, bool b) => (bfloat16[2,4] y) {
        a = MatMul(x, w1)
        h = If(b) <then_branch = t () => (bfloat16[2,32] p) { r = Relu(a)  p = Mul(r, v) },
                   else_branch = e () => (bfloat16[2,32] q) { q = Neg(a) }>
        y = MatMul(h, w2) }""",
        {"w1": half(8, 32), "v": half(32), "w2": half(32, 4)},
    ),
}  # fmt: skip


@pytest.fixture(params=MODELS)
def model(request):
    text, weights = MODELS[request.param]
    return build(text, weights, opset=22)


def config(criterion=Criterion.L1, recover=Recovery.NONE, **options):
    return PruneConfig(
        0.5, criterion=criterion, recover=recover, data=DataOptions(samples=4), **options
    )


def arrays(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def types(model):
    return [v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)]


def one_line(text):
    return " ".join(text.split())


def halve(model):
    """Cut half of every group; returns the graph, its input's shapes, and the plan."""
    graph = fit_to_kernels(from_proto(model, name="m"))
    shapes = bind_sizes(graph.inputs)
    units = find_units(graph, infer_shapes(graph, shapes))
    alive = np.ones(units.count, bool)
    for group in np.unique(units.group[units.removable]):
        alive[np.flatnonzero((units.group == group) & units.removable)[::2]] = False
    return graph, shapes, plan_slices(units, alive)


def test_it_is_cut_by_weights_alone_and_proven_in_float32(model, tmp_path):
    path, output = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(model, path)
    report = prune(path, output, config()).report
    assert abs(report.reached - 0.5) < 0.05
    assert report.equivalence.widened
    assert report.equivalence.error <= report.equivalence.tolerance == 1e-4
    assert to_plain(report)["equivalence"]["widened"] is True
    said = one_line(to_text(report))
    assert "both run in float32, since ONNX Runtime does not run their bfloat16" in said
    onnx.checker.check_model(onnx.load(output), full_check=True)


def test_the_file_keeps_its_types_and_the_bits_of_what_is_left(model):
    graph, _, plan = halve(model)
    written = to_message(apply_plan(graph, plan))
    before, after = arrays(model), arrays(written)
    assert types(written) == types(model)
    assert plan.kept
    for name, array in before.items():
        kept = plan.kept.get(name, (None,) * array.ndim)
        places = (np.arange(n) if k is None else k for k, n in zip(kept, array.shape, strict=True))
        left = array[np.ix_(*places)]
        assert (after[name].dtype, after[name].shape) == (left.dtype, left.shape)
        assert after[name].tobytes() == left.tobytes()


def test_a_wrong_weight_does_not_pass(model):
    graph, shapes, plan = halve(model)
    reference, pruned = run_masked(graph, plan, shapes), apply_plan(graph, plan)
    assert compare_with(reference, pruned).widened
    wrong = -pruned.constants["w2"]
    with pytest.raises(ValidationError, match="differs by"):
        compare_with(reference, edited(pruned, Edit(constants={"w2": wrong})))


def test_large_models_are_run_part_by_part(model, monkeypatch):
    graph, shapes, plan = halve(model)
    monkeypatch.setattr(run, "WHOLE_BYTES", 0)
    monkeypatch.setattr(run, "PART_BYTES", 1)
    found = compare_with(run_masked(graph, plan, shapes), apply_plan(graph, plan))
    assert found.parts > 1
    assert found.error < 1e-6


def test_its_time_is_no_budget(model):
    with pytest.raises(UsageError, match="latency cannot be measured: ONNX Runtime does not run"):
        prune(model, None, config(budget=BudgetKind.LATENCY))


@pytest.mark.usefixtures("few_samples")
def test_samples_are_measured_and_judged_in_float32_and_nothing_is_timed(model):
    result = prune(model, None, config(Criterion.REPAIR, Recovery.RIDGE))
    report = result.report
    assert report.recovery is not None
    assert report.recovery.fits
    assert report.accuracy is not None
    assert not report.speed
    assert not report.unfinished
    assert any("in float32, and latency is not measured" in note for note in report.notes)
    assert {arrays(result.model)[name].dtype for name in arrays(model)} <= {HALF, np.dtype("f4")}
    assert types(result.model) == types(model)
    onnx.checker.check_model(result.model, full_check=True)


@pytest.mark.usefixtures("few_samples")
def test_a_criterion_of_gradients_sees_the_twin_in_float32(model):
    pytest.importorskip("torch")
    report = prune(model, None, config(Criterion.G)).report
    assert report.removed
    assert not any("could not be measured" in note for note in report.notes)


def test_recovery_by_training_is_refused_before_the_work():
    pytest.importorskip("torch")
    model = build(*MODELS["convolutions"], opset=22)
    with pytest.raises(ModelError, match="is bfloat16, in which steps of training get lost"):
        prune(model, None, config(recover=Recovery.FINETUNE))


@pytest.mark.usefixtures("few_samples")
def test_rounds_go_on_in_float32(model):
    report = prune(model, None, config(rounds=2)).report
    assert report.equivalence.widened
    assert report.removed


def test_a_validation_is_in_float32_untimed_and_knows_the_types_of_the_files():
    text, weights = MODELS["tokens"]
    model = build(text, weights, opset=22)
    pruned = prune(model, None, config()).model
    report = validate(model, pruned, ValidateConfig(data=DataOptions(samples=2))).report
    assert not report.problems
    assert report.accuracy is not None
    assert not report.speed
    assert "in float32, and latency is not measured" in one_line(to_text(report))
    wide = copy_of(pruned)
    widen_message(wide.graph)
    report = validate(model, wide, ValidateConfig(data=DataOptions(samples=2))).report
    assert "its outputs are 'y' float32 [N, 6, 5] instead of 'y' bfloat16" in report.problems[0]
    assert not report.notes


def test_shapes_that_only_a_run_tells_are_seen():
    text = """net (bfloat16[1,8] x) => (bfloat16[1,4] y) {
        a = MatMul(x, w1)  r = Relu(a)  m = MatMul(r, w2)  n = NonZero(m)  f = Cast<to = 16>(n)
        t = ReduceMax<keepdims = 0>(f)  y = Add(m, t) }"""
    model = build(text, {"w1": half(8, 32), "w2": half(32, 4)}, opset=22)
    report = inspect(model, DataOptions(), Limits(), floor=0.1).report
    assert report.groups


def test_computed_constants_are_held_against_the_file_in_float32():
    text = """net (float[1,8] x) => (bfloat16[1,4] y) {
        n = Neg(i)  k = Cast<to = 1>(n)  s = Mul(x, k)  h = Cast<to = 16>(s)
        a = MatMul(h, w1)  r = Relu(a)  y = MatMul(r, w2) }"""
    weights = {"w1": half(8, 32), "w2": half(32, 4), "i": np.array([3])}
    model = build(text, weights, opset=22)
    result = prune(model, None, config())
    assert result.report.equivalence.widened
    assert any("were left out" in note for note in result.report.notes)


@pytest.mark.usefixtures("few_samples")
def test_what_onnx_runtime_runs_in_bfloat16_is_proven_in_it_and_timed():
    text = """net (float[1,8] x) => (float[1,4] y) {
        a = MatMul(x, w1)  r = Relu(a)  h = Cast<to = 16>(r)  f = Cast<to = 1>(h)
        y = MatMul(f, w2) }"""
    model = build(text, {"w1": normal(8, 32), "w2": normal(32, 4)}, opset=22)
    report = prune(model, None, config(evaluate=True)).report
    assert not report.equivalence.widened
    assert report.speed
    assert "bfloat16" not in to_text(report)
