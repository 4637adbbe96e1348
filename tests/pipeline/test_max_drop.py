"""The search for the largest cut that keeps a metric."""

from __future__ import annotations

import shlex
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from wrg_onnx.calibrate.kept_rows import digest_of
from wrg_onnx.cli import main
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.errors import BudgetError, DataError, UsageError
from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import max_drop, measuring, samples
from wrg_onnx.pipeline.aim import Aim
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.config import DataOptions, MaxDrop, PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.report import to_plain, to_text
from wrg_onnx.report.search import Probe
from wrg_onnx.select import Criterion

SHORT = Timing(warmup=0, rounds=1)


def config(most, metric=None, **fields):
    fields = {"criterion": Criterion.L1, "data": DataOptions(samples=4), **fields}
    return PruneConfig(0.0, max_drop=MaxDrop(most, metric), timing=SHORT, **fields)


# --- the bisection, on made drops -------------------------------------------------------------


def found_with(monkeypatch, drops, *, most=0.01, possible=0.9, held_out=40):
    """Search where ``drops(ratio, is_check)`` says how far the metric falls."""

    def try_(self, asked, _, few, **__):
        drop = drops(asked.ratio, few is None)
        change = Change("max F", 0.9, 0.9 - drop, drop, -drop, -drop, 20)
        probe = Probe(asked.ratio, asked.ratio, change, drop <= self._most, 0.0)
        return probe, None, SimpleNamespace(accuracy=None), Attempts()

    monkeypatch.setattr(max_drop._Search, "_try", try_)
    monkeypatch.setattr(max_drop._Search, "time", lambda *_: None)
    trials = SimpleNamespace(
        samples=SimpleNamespace(
            saliency=object(), calibration=range(32), preprocessing=object(),
            validation=DataSet(tuple(range(held_out)), "images", held_out, has_masks=True),
            spare=None,
        ),
        aim=Aim(
            SimpleNamespace(frozen_share=0.25, graph=SimpleNamespace(name="m.onnx")), config(most)
        ),
        reference=lambda data: data,
        let_go=lambda: None,
    )  # fmt: skip
    return max_drop.find_largest_cut(trials, config(most), possible)


def test_the_bisection_comes_within_a_step_of_the_largest_ratio(monkeypatch):
    search = found_with(monkeypatch, lambda ratio, _: 0.1 * ratio**3).search
    assert search.answer.ratio == pytest.approx(0.1 ** (1 / 3), abs=max_drop.STEP)
    assert search.answer.ratio <= 0.1 ** (1 / 3)
    assert len(search.probes) == 7
    assert [one.holds for one in search.checks] == [True]


def test_everything_may_go_that_the_units_allow(monkeypatch):
    answer = found_with(monkeypatch, lambda *_: 0.0).search.answer
    assert answer.ratio == pytest.approx(0.9, abs=max_drop.STEP)


def test_a_check_that_fails_is_made_again_further_back(monkeypatch):
    search = found_with(monkeypatch, lambda ratio, check: ratio / (20 if check else 50)).search
    assert [one.ratio for one in search.checks] == [0.499, 0.479, 0.439, 0.359, 0.199]
    assert [one.holds for one in search.checks] == [False] * 4 + [True]


def test_where_no_probe_holds_the_smallest_is_checked(monkeypatch):
    search = found_with(monkeypatch, lambda _, check: 0.0 if check else 0.1).search
    assert not any(one.holds for one in search.probes)
    assert search.answer.ratio == min(one.ratio for one in search.probes)


def test_where_nothing_holds_the_error_says_what_was_reached(monkeypatch):
    with pytest.raises(BudgetError, match=r"no cut keeps max F within \.010: the smallest of \d+ "
                       r"that were tried removes 0\.7%, and max F \.900 -> \.800 \(-\.100; "
                       r"95 % interval -\.100 to -\.100, 20 images\)") as caught:  # fmt: skip
        found_with(monkeypatch, lambda *_: 0.1)
    assert (caught.value.possible, caught.value.frozen) == (0.0, 0.25)
    assert caught.value.wanted == pytest.approx(0.007)


def test_a_model_that_cannot_be_cut_is_refused(monkeypatch):
    with pytest.raises(BudgetError, match="nothing can be cut"):
        found_with(monkeypatch, lambda *_: 0.0, possible=0.0)


def test_a_drop_that_is_not_monotone_is_searched_all_the_same(monkeypatch):
    search = found_with(monkeypatch, lambda ratio, _: 0.02 if 0.2 < ratio < 0.3 else 0.0).search
    assert search.answer.holds


def some(count, start=0):
    return DataSet(tuple(range(start, start + count)), "images", count, has_masks=True)


def divided(held_out, spare, monkeypatch):
    monkeypatch.setattr(DataSet, "without_broken", lambda self: (self, ()))
    monkeypatch.setattr(DataSet, "kept", lambda self, _: self)
    samples = SimpleNamespace(validation=some(held_out), spare=some(spare, 1000))
    return max_drop.divide(samples, seed=0)


def test_the_search_is_judged_on_what_others_leave_over(monkeypatch):
    first, second, apart = divided(40, 117, monkeypatch)
    assert apart
    assert len(first) == max_drop.MOST_SEARCHED
    assert set(first.readers) <= set(range(1000, 1117))
    assert second.readers == some(40).readers


@pytest.mark.parametrize(("count", "apart"), [(19, False), (20, True), (41, True)])
def test_where_nothing_is_left_over_both_share_what_is_held_out(count, apart, monkeypatch):
    first, second, found = divided(count, 9, monkeypatch)
    assert found is apart
    if apart:
        assert sorted(first.readers + second.readers) == list(range(count))
    else:
        assert first.readers == second.readers == some(count).readers


# --- whole runs -------------------------------------------------------------------------------


@pytest.fixture
def short_search(monkeypatch):
    """Judge on 20 generated images, and bisect to a tenth."""
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 20)
    monkeypatch.setattr(max_drop, "STEP", 0.3)


@pytest.mark.usefixtures("short_search")
def test_the_answer_is_the_cut_of_its_ratio_judged_on_images_that_no_probe_saw(
    tiny_unet, tmp_path, monkeypatch
):
    seen = []
    divide = max_drop.divide

    def watched(samples, seed):
        first, second, apart = divide(samples, seed)
        seen.extend([first, second])
        return first, second, apart

    monkeypatch.setattr(max_drop, "divide", watched)
    output = tmp_path / "small.onnx"
    report = prune(tiny_unet, output, config(0.05)).report
    answer = report.search.answer
    assert answer.holds
    assert answer.change.drop <= 0.05
    assert answer.ratio == report.ratio
    assert answer.reached == report.reached
    assert report.search.apart
    assert (report.search.searched_on, report.search.checked_on) == (20, 20)
    first, second = ({digest_of(sample) for sample in data} for data in seen)
    assert not first & second
    assert report.accuracy.after.images == 20
    assert report.accuracy.after.max_f == answer.change.after
    assert report.accuracy.cut is not None
    assert report.speed
    assert report.recovery.samples == 4
    onnx.checker.check_model(str(output), full_check=True)

    again = tmp_path / "again.onnx"
    words = shlex.split(report.search.command)
    assert words[:2] == ["wrg-onnx", "prune"]
    done = CliRunner(catch_exceptions=False).invoke(main, [*words[1:], "-o", str(again)])
    assert done.exit_code == 0, done.output
    assert again.read_bytes() == output.read_bytes()


@pytest.mark.usefixtures("short_search")
def test_the_original_is_measured_once_for_all_probes(tiny_unet, monkeypatch):
    calls = []
    measure = measuring.measure_layers
    monkeypatch.setattr(
        measuring, "measure_layers", lambda *a, **k: calls.append(1) or measure(*a, **k)
    )
    report = prune(tiny_unet, None, config(0.05, criterion=Criterion.REPAIR)).report
    assert len(report.search.probes) >= 2
    assert len(calls) == 1


@pytest.mark.usefixtures("short_search")
def test_the_report_tells_the_probes_and_the_interval(tiny_unet):
    report = prune(tiny_unet, None, config(0.9, "MAE")).report
    text = " ".join(to_text(report).split())
    assert "The largest cut found whose MAE gets worse by at most .900:" in text
    assert "95 % interval" in text
    assert "20 images), that no probe saw." in text
    assert text.count("probe, holds") == len(report.search.probes)
    lines = to_text(report).splitlines()
    assert max(len(line) for line in lines if not line.startswith("  wrg-onnx ")) <= 80
    plain = to_plain(report)["search"]
    assert plain["metric"] == "MAE"
    assert plain["checks"][-1]["change"]["images"] == 20


@pytest.mark.usefixtures("short_search")
def test_too_few_images_for_an_interval_are_told(tiny_unet, monkeypatch):
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 2)
    report = prune(tiny_unet, None, config(0.9)).report
    text = " ".join(to_text(report).split())
    assert "2 images, too few for an interval), that no probe saw." in text


BODY = """<ir_version: 8, opset_import: ["": 17]> g (float[2,8] x) => (float[2,4] y)
<float[8,32] a, float[32,4] b> {
    h = MatMul(x, a)  r = Relu(h)  y = MatMul(r, b)
}"""


@pytest.fixture
def without_map(tmp_path):
    """A model that takes no image, and random inputs for it in .npz files."""
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(BODY)
    del model.graph.initializer[:]
    for name, shape in (("a", (8, 32)), ("b", (32, 4))):
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "data").mkdir()
    for number in range(80):
        x = rng.standard_normal((2, 8)).astype(np.float32)
        np.savez(tmp_path / "data" / f"{number:02}.npz", x=x)
    return tmp_path / "m.onnx", DataOptions(tmp_path / "data", samples=40)


def test_without_masks_the_outputs_may_move_by_so_much(without_map):
    model, data = without_map
    report = prune(model, None, config(0.3, data=data)).report
    change = report.search.answer.change
    assert change.metric == "relative error"
    assert change.before == 0
    assert 0 < change.after <= 0.3
    assert change.after == pytest.approx(report.accuracy.agreement[0].relative_error)
    assert change.low < change.after < change.high


def test_a_metric_of_masks_is_refused_before_the_long_work(without_map, monkeypatch):
    model, data = without_map
    monkeypatch.setattr(max_drop, "find_largest_cut", None)
    with pytest.raises(DataError, match="metric 'max F' holds saliency maps against masks"):
        prune(model, None, config(0.1, "max F", data=data))


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [-0.1, 1.0, float("nan")])
def test_a_drop_out_of_its_range_is_refused(most):
    with pytest.raises(UsageError, match=r"max-drop must be in \[0, 1\)"):
        MaxDrop(most)


def test_an_unknown_metric_is_refused():
    with pytest.raises(UsageError, match="metric must be one of 'MAE'"):
        MaxDrop(0.1, "psnr")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"evaluate": False}, "leave --no-evaluate out"),
        ({"sparsify": 2, "data": DataOptions(samples=4)}, "sparsify"),
    ],
)
def test_what_a_search_cannot_do_is_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        config(0.1, **fields)
