"""Recovery and rounds, end to end on the committed model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from cuts import used_in
from strategies import build, normal

from wrg_onnx.errors import StatisticsError, UsageError, WrgError
from wrg_onnx.graph import load
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery, ValidateConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.pipeline.validate import validate
from wrg_onnx.rewrite import read_note
from wrg_onnx.select import Criterion

pytestmark = pytest.mark.usefixtures("few_samples")
SHORT = Timing(warmup=0, rounds=1)


def config(ratio=0.4, **fields):
    return PruneConfig(
        ratio, criterion=Criterion.WR, data=DataOptions(samples=8), timing=SHORT, **fields
    )


@pytest.fixture(scope="module")
def reports(tiny_unet, tmp_path_factory):
    """Prune by 40 % with each recovery."""
    folder = tmp_path_factory.mktemp("recovered")
    return {
        method: prune(tiny_unet, folder / f"{method.value}.onnx", config(recover=method)).report
        for method in (Recovery.NONE, Recovery.BIAS, Recovery.RIDGE)
    }


def test_ridge_is_better_than_bias_or_none(reports):
    error = {m: r.accuracy.agreement[0].relative_error for m, r in reports.items()}
    assert error[Recovery.RIDGE] < 0.75 * min(error[Recovery.NONE], error[Recovery.BIAS])
    score = {method: report.accuracy.after.max_f for method, report in reports.items()}
    assert score[Recovery.RIDGE] > max(score[Recovery.NONE], score[Recovery.BIAS])


def test_every_recovery_starts_from_the_same_cut(reports):
    cut = reports[Recovery.NONE].accuracy
    for method in (Recovery.BIAS, Recovery.RIDGE):
        judged = reports[method].accuracy.cut
        assert judged.scores == cut.after
        assert judged.agreement == cut.agreement
        assert reports[method].after.parameters == pytest.approx(
            reports[Recovery.NONE].after.parameters, rel=0.01
        )
    assert cut.cut is None
    assert reports[Recovery.NONE].recovery is None


def test_the_report_says_what_was_solved_for(reports):
    ridge = reports[Recovery.RIDGE].recovery
    assert (ridge.method, ridge.samples, ridge.rounds, ridge.left) == ("ridge", 8, 1, {})
    assert len(ridge.fits) > 10
    assert all(fit.after <= fit.before for fit in ridge.fits)
    assert any("8 samples are few" in note for note in reports[Recovery.RIDGE].notes)


@pytest.mark.parametrize("method", [Recovery.NONE, Recovery.BIAS, Recovery.RIDGE])
def test_what_was_recovered_is_a_right_file(reports, tiny_unet, method):
    report = reports[method]
    onnx.checker.check_model(report.output, full_check=True)
    chosen = ValidateConfig(DataOptions(samples=2), timing=SHORT)
    assert validate(tiny_unet, Path(report.output), chosen).report.problems == ()


def test_without_a_choice_generated_images_give_ridge(tiny_unet, reports):
    report = prune(tiny_unet, None, config(evaluate=False)).report
    assert report.recovery.fits == reports[Recovery.RIDGE].recovery.fits
    assert any("recovery come from the built-in" in note for note in report.notes)


def test_without_a_choice_random_inputs_give_none_and_it_is_told(tmp_path):
    text = """net (float[2,9,8] x) => (float[2,9,5] y) {
        a = MatMul(x, d)  p = Relu(a)  y = MatMul(p, e) }"""
    onnx.save(build(text, {"d": normal(8, 16), "e": normal(16, 5)}), tmp_path / "m.onnx")
    report = prune(tmp_path / "m.onnx", None, config(evaluate=False)).report
    assert report.recovery is None
    assert any("nothing was recovered" in note for note in report.notes)
    asked = prune(tmp_path / "m.onnx", None, config(evaluate=False, recover=Recovery.RIDGE)).report
    assert [fit.layer for fit in asked.recovery.fits] == ["y"]


def test_biases_that_recovery_adds_are_counted_and_told(tmp_path):
    text = """net (float[2,9,8] x) => (float[2,9,5] y) {
        a = MatMul(x, d)  p = Relu(a)  y = MatMul(p, e) }"""
    onnx.save(build(text, {"d": normal(8, 16), "e": normal(16, 5)}), tmp_path / "m.onnx")
    report = prune(
        tmp_path / "m.onnx", None, config(0.5, evaluate=False, recover=Recovery.RIDGE)
    ).report
    # A unit is 8 + 5 of 208 parameters, and 5 come on top: with 8 units the ratio is met best.
    assert report.reached == pytest.approx((8 * 13 - 5) / 208)
    assert report.after.parameters == pytest.approx(208 * (1 - report.reached))
    assert report.recovery.added == 5
    assert any("got one, 5 parameters in all" in note for note in report.notes)


@pytest.fixture
def perceptron(tmp_path):
    """Write a chain of MatMuls without biases."""
    text = """net (float[2,9,8] x) => (float[2,9,5] y) {
        a = MatMul(x, d)  p = Relu(a)  b = MatMul(p, e)  q = Relu(b)  y = MatMul(q, f) }"""
    arrays = {"d": normal(8, 24), "e": normal(24, 24), "f": normal(24, 5)}
    onnx.save(build(text, arrays), tmp_path / "chain.onnx")
    return tmp_path / "chain.onnx"


def test_layers_that_got_a_bias_in_one_round_are_solved_for_in_the_next(perceptron, tmp_path):
    chosen = config(0.5, rounds=3, recover=Recovery.RIDGE)
    report = prune(perceptron, tmp_path / "out.onnx", chosen).report
    assert {fit.layer for fit in report.recovery.fits} == {"b", "y"}
    assert report.recovery.left == {}
    assert report.recovery.added > 0
    assert {"a", "b", "y"} <= read_note(load(tmp_path / "out.onnx")).keys()
    assert report.reached == pytest.approx(0.5, abs=0.02)


def test_a_recovered_file_can_be_pruned_and_validated_again(perceptron, tmp_path):
    chosen = config(0.3, recover=Recovery.RIDGE)
    prune(perceptron, tmp_path / "once.onnx", chosen)
    prune(tmp_path / "once.onnx", tmp_path / "twice.onnx", chosen)
    how = ValidateConfig(DataOptions(samples=8), timing=SHORT)
    found = validate(tmp_path / "once.onnx", tmp_path / "twice.onnx", how).report
    assert found.problems == ()


def test_rounds_reach_the_ratio_together(tiny_unet, tmp_path):
    output = tmp_path / "rounds.onnx"
    report = prune(tiny_unet, output, config(0.5, rounds=3)).report
    assert report.reached == pytest.approx(0.5, abs=0.01)
    assert report.recovery.rounds == 3
    assert sum(group.units - group.kept for group in report.groups) == report.removed
    held = sum(a.size for a in map(onnx.numpy_helper.to_array, onnx.load(output).graph.initializer)
               if a.dtype == np.float32 and a.ndim)  # fmt: skip
    assert report.after.parameters == pytest.approx(held, rel=0.01)
    onnx.checker.check_model(str(output), full_check=True)


def test_rounds_keep_the_floor_of_the_original(tiny_unet):
    report = prune(tiny_unet, None, config(0.8, rounds=4, floor=0.3, recover=Recovery.NONE)).report
    assert all(group.kept >= 0.3 * group.units - 1 for group in report.groups)
    assert report.accuracy.cut is None


def test_rounds_below_one_are_refused():
    with pytest.raises(UsageError, match="rounds must be at least 1, got 0"):
        config(rounds=0)


def test_one_sample_and_ridge_is_an_error_that_says_the_way_out(tiny_unet):
    one = dataclasses.replace(config(recover=Recovery.RIDGE), data=DataOptions(samples=1))
    with pytest.raises(StatisticsError, match=r"at least 2 samples.*--recover bias"):
        prune(tiny_unet, None, one)


def test_fine_tuning_starts_from_ridge_and_is_never_worse_on_what_it_holds_out(tiny_unet, tmp_path):
    pytest.importorskip("torch")
    output = tmp_path / "tuned.onnx"
    report = prune(tiny_unet, output, config(recover=Recovery.FINETUNE, epochs=1)).report
    found = report.recovery
    assert (found.method, found.history[0].epoch, found.history[-1].epoch) == ("finetune", 0, 1)
    largest = max(one.held_out_max_f for one in found.history)
    assert found.chosen.held_out_max_f >= largest
    assert [one.share for one in found.between] == [0, 0.25, 0.5, 0.75, 1]
    assert len(found.fits) > 10
    onnx.checker.check_model(str(output), full_check=True)
    assert read_note(load(output))


@pytest.mark.parametrize(
    ("dtype", "end", "message"),
    [
        ("float", "s = SequenceConstruct(b)  y = SequenceAt(s, i)", "twin for 'SequenceConstruct'"),
    ],
)
def test_a_model_that_cannot_be_fine_tuned_is_refused_before_the_first_cut(
    tmp_path, dtype, end, message
):
    pytest.importorskip("torch")
    text = f"""net ({dtype}[N,3,16,16] x) => ({dtype}[N,3,16,16] y) {{
        a = Conv(x, w)  p = Relu(a)  b = Conv(p, v)  {end} }}"""
    kind = np.float16 if dtype == "float16" else np.float32
    arrays = {"w": normal(8, 3, 1, 1, dtype=kind), "v": normal(3, 8, 1, 1, dtype=kind),
              "i": np.int64(0)}  # fmt: skip
    onnx.save(build(text, used_in(text, arrays)), tmp_path / "m.onnx")
    told = []
    chosen = dataclasses.replace(config(recover=Recovery.FINETUNE), criterion=Criterion.L1)
    with pytest.raises(WrgError, match=message):
        prune(tmp_path / "m.onnx", None, chosen, progress=lambda *a: told.append(a[0]))
    assert [*dict.fromkeys(told)] == ["analyse", "data"]


def test_epochs_without_fine_tuning_are_refused():
    with pytest.raises(UsageError, match="epochs is for recover 'finetune'"):
        config(epochs=3)
