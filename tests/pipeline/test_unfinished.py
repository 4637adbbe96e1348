"""An error behind the proof costs its stage, and not the proven model."""

from __future__ import annotations

import logging

import onnx
import pytest

from wrg_onnx.errors import DataError, StatisticsError, UnfinishedError, ValidationError
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import finetune as tuning
from wrg_onnx.pipeline import judging, prune_report, rounds
from wrg_onnx.pipeline.config import DataOptions, FinetuneConfig, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.report import to_plain, to_text
from wrg_onnx.report.unfinished import check_finished
from wrg_onnx.select import Criterion

pytestmark = [pytest.mark.usefixtures("few_samples"), pytest.mark.unfinished]


def config(ratio=0.4, **fields):
    fields = {"evaluate": True, "recover": Recovery.BIAS, "criterion": Criterion.L1} | fields
    timing = Timing(warmup=0, rounds=1)
    data = DataOptions(samples=4)
    return PruneConfig(ratio, data=data, timing=timing, **fields)


def failing(error, *, after=0):
    """Return a function that raises from its call number ``after`` on, and one to count calls."""

    def put_in_place_of(function):
        calls = []

        def call(*args, **kwargs):
            calls.append(args)
            if len(calls) > after:
                raise error
            return function(*args, **kwargs)

        return call

    return put_in_place_of


@pytest.fixture
def fail(monkeypatch):
    """Make a function of a file of the pipeline fail."""

    def patch(module, name, error, *, after=0):
        function = failing(error, after=after)(getattr(module, name))
        monkeypatch.setattr(module, name, function)

    return patch


def stages(report):
    return [one.stage for one in report.unfinished]


def test_a_whole_run_has_nothing_unfinished(tiny_unet):
    report = prune(tiny_unet, None, config(evaluate=False)).report
    assert report.unfinished == ()
    check_finished(report)


def test_a_failed_recovery_leaves_the_cut_which_is_judged(tiny_unet, tmp_path, fail):
    plain = prune(tiny_unet, tmp_path / "cut.onnx", config(recover=Recovery.NONE)).report
    fail(rounds, "recover", StatisticsError("no rows"))
    report = prune(tiny_unet, tmp_path / "out.onnx", config()).report
    (one,) = report.unfinished
    assert (one.stage, one.error, one.message, one.known) == (
        "recover", "StatisticsError", "no rows", True,
    )  # fmt: skip
    assert (tmp_path / "out.onnx").read_bytes() == (tmp_path / "cut.onnx").read_bytes()
    with pytest.raises(UnfinishedError, match=r"out.onnx' is written and proven, but 'recover' f"):
        check_finished(report)
    assert report.recovery is None
    assert report.accuracy.after == plain.accuracy.after
    assert report.speed
    assert not any("random inputs" in note for note in report.notes)


def test_a_recovered_model_that_the_checker_refuses_is_not_written(
    tiny_unet, tmp_path, monkeypatch
):
    real = rounds.checker_problem
    answers = iter(["no such type"])
    monkeypatch.setattr(rounds, "checker_problem", lambda graph: next(answers, real(graph)))
    report = prune(tiny_unet, tmp_path / "out.onnx", config(evaluate=False)).report
    assert stages(report) == ["recover"]
    assert "checker refuses the recovered model: no such type" in report.unfinished[0].message
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("judge_images", ["accuracy"]), ("measure_speed", ["latency"]),
     ("open_pair", ["accuracy", "latency"])],
)  # fmt: skip
def test_a_failed_judging_leaves_the_recovered_model(tiny_unet, tmp_path, fail, name, missing):
    prune(tiny_unet, tmp_path / "whole.onnx", config(evaluate=False))
    fail(judging, name, DataError("a mask is gone"))
    report = prune(tiny_unet, tmp_path / "out.onnx", config()).report
    assert stages(report) == missing
    assert (tmp_path / "out.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    assert report.recovery is not None
    assert (report.accuracy is None) == ("accuracy" in missing)
    assert bool(report.speed) == ("latency" not in missing)


def test_a_failed_part_of_the_report_leaves_the_rest_of_it(tiny_unet, tmp_path, fail):
    fail(prune_report, "group_reports", KeyError("w"))
    report = prune(tiny_unet, tmp_path / "out.onnx", config(evaluate=False)).report
    assert stages(report) == ["report"]
    assert report.groups == ()
    assert report.reached == pytest.approx(0.4, abs=0.01)
    assert (tmp_path / "out.onnx").exists()


def test_a_failed_round_leaves_what_the_rounds_before_it_left(tiny_unet, tmp_path, fail):
    broken = ValidationError("not the same", error=1.0, tolerance=1e-4)
    fail(rounds, "cut_model", broken, after=2)
    report = prune(tiny_unet, tmp_path / "out.onnx", config(0.5, rounds=3)).report
    assert stages(report) == ["round 3"]
    assert report.reached == pytest.approx(1 - 0.5 ** (2 / 3), abs=0.02)
    assert (report.ratio, report.recovery.rounds) == (0.5, 2)
    assert sum(group.units - group.kept for group in report.groups) == report.removed
    assert not any("too coarse" in note for note in report.notes)
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)


def test_a_failed_recovery_ends_the_rounds_at_its_cut(tiny_unet, fail):
    fail(rounds, "recover", StatisticsError("no rows"), after=1)
    report = prune(tiny_unet, None, config(0.5, rounds=3, evaluate=False)).report
    assert stages(report) == ["recover"]
    assert report.reached == pytest.approx(1 - 0.5 ** (2 / 3), abs=0.02)
    assert report.recovery is None


def test_an_error_before_the_first_proof_is_raised_as_it_is(tiny_unet, tmp_path, fail):
    fail(rounds, "cut_model", ValidationError("not the same", error=1.0, tolerance=1e-4))
    with pytest.raises(ValidationError, match="not the same"):
        prune(tiny_unet, tmp_path / "out.onnx", config(0.5, rounds=3))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_writes_nothing(tiny_unet, tmp_path, fail):
    fail(rounds, "recover", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        prune(tiny_unet, tmp_path / "out.onnx", config())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "level", "advice"),
    [
        (IndexError("axis 3"), logging.ERROR, "please report it"),
        (MemoryError(), logging.WARNING, "out of memory in the stage 'recover'; what needs less"),
        (StatisticsError("no rows"), logging.WARNING, "(StatisticsError: no rows)."),
    ],
)
def test_an_error_is_logged_with_its_traceback_and_told(
    tiny_unet, fail, caplog, error, level, advice
):
    fail(rounds, "recover", error)
    report = prune(tiny_unet, None, config(evaluate=False)).report
    (record,) = caplog.records
    told = record.exc_info[1]
    assert record.levelno == level
    assert error in (told, told.__cause__)
    assert record.name.startswith("wrg_onnx.")
    text = " ".join(to_text(report).split())
    assert "The weights were not recovered, and the model is as it was cut" in text
    assert advice in text
    assert to_plain(report)["unfinished"][0]["error"] == type(told).__name__


def test_trained_weights_are_kept_where_judging_them_fails(tiny_unet, tmp_path, fail):
    pytest.importorskip("torch")
    from wrg_onnx.finetune import FinetuneOptions

    fail(tuning, "judge", DataError("a mask is gone"))
    data = DataOptions(samples=4)
    chosen = FinetuneConfig(FinetuneOptions(epochs=1, augment=False), data)
    report = tuning.finetune(tiny_unet, None, tmp_path / "out.onnx", chosen).report
    assert stages(report) == ["accuracy"]
    assert (report.before, report.after) == (None, None)
    assert "The accuracy was not measured (DataError: a mask is gone)." in to_text(report)
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)
