"""Details of a run are what the run used, and no run needs them."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from strategies import build, normal

from wrg_onnx.data.provenance import folder_digest
from wrg_onnx.errors import DataError
from wrg_onnx.factors import GRADIENT, RANK, WEIGHT
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import details as module
from wrg_onnx.pipeline import max_drop
from wrg_onnx.pipeline.config import DataOptions, MaxDrop, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.report import to_json, to_plain, to_text
from wrg_onnx.report.details import Details
from wrg_onnx.report.from_plain import from_plain
from wrg_onnx.select import Criterion, Scope, per_unit
from wrg_onnx.tsod.scenes import generate

pytestmark = pytest.mark.usefixtures("few_samples")

CALL = ("wrg_onnx.prune('m.onnx', ratio=0.4, details=True)",)


def config(criterion=Criterion.L1, ratio=0.4, **fields):
    fields = {"recover": Recovery.NONE, "data": DataOptions(samples=4)} | fields
    return PruneConfig(ratio, criterion=criterion, timing=Timing(warmup=0, rounds=1), **fields)


@pytest.fixture
def runs(monkeypatch):
    """Note what details are collected from."""
    found, collect = [], module.collect_details

    def noted(run, *rest):
        found.append(run)
        return collect(run, *rest)

    monkeypatch.setattr("wrg_onnx.pipeline.prune.collect_details", noted)
    return found


def detailed(source, options):
    report = prune(source, None, options, details=CALL).report
    assert report.unfinished == ()
    assert from_plain(Details, json.loads(to_json(report.details))) == report.details
    return report


def pixels_of(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.png)))).astype(int)


def test_a_run_that_is_not_asked_has_no_details_and_collects_none(tiny_unet, runs):
    report = prune(tiny_unet, None, config()).report
    assert report.details is None
    assert runs == []
    assert not {"details", "profile"} & {*report.seconds}
    assert to_plain(report)["details"] is None


def test_what_each_image_had_tells_whether_two_runs_judged_the_same(tiny_unet):
    first, second, other = (
        detailed(tiny_unet, config(evaluate=True, **fields))
        for fields in ({}, {"ratio": 0.2}, {"seed": 1})
    )
    images = [one.details.images for one in (first, second, other)]
    assert images[0].sha256 == images[1].sha256 != images[2].sha256
    assert images[0].values != images[1].values
    for change in first.changes:
        values = images[0].values[change.metric]
        assert len(values) == images[0].images == 2
        assert np.mean(values) == pytest.approx(change.after, abs=1e-4)


def test_a_run_on_weights_alone_has_its_layers_and_where_it_ran(tiny_unet):
    report = detailed(tiny_unet, config())
    found = report.details
    assert found.images is None
    assert {row.name for row in report.groups} <= {row.name for row in found.layers}
    by_name = {row.name: row for row in found.layers if row.removable}
    for group in report.groups:
        row = by_name[group.name]
        assert (row.units, row.kept, row.removable, row.parameters) == (
            group.units, group.kept, group.removable, group.parameters,
        )  # fmt: skip
        assert sum(row.alive) == row.kept
        assert (row.w, row.r, row.g) == (None, None, None)
    assert (found.spectra, found.examples, found.latency) == ((), None, None)
    assert (found.environment.data, found.environment.command) == (None, CALL)
    assert "details" in report.seconds
    assert "profile" not in report.seconds
    assert to_text(report)


@pytest.mark.parametrize("criterion", [Criterion.L1, Criterion.W, Criterion.RANDOM])
def test_the_scores_say_what_was_removed(tiny_unet, criterion):
    found = detailed(tiny_unet, config(criterion, scope=Scope.UNIFORM)).details
    removed = 0
    for row in found.layers:
        if not row.removable:
            continue
        scores, alive = np.array(row.scores.each, float), np.array(row.alive)
        removed += int((~alive).sum())
        # The order is followed but for a few, by which the ratio is met exactly.
        lowest = np.argsort(scores, kind="stable")[: int((~alive).sum())]
        assert alive[lowest].sum() <= 1
    assert removed > 50


def test_the_factors_of_sel_are_those_that_were_multiplied(tiny_unet, runs):
    found = detailed(tiny_unet, config(Criterion.SEL, evaluate=False)).details
    (run,) = runs
    chosen, units = run.rounds.last.chosen, run.aim.model.units
    for row in found.layers:
        if not row.removable:
            continue
        product = np.prod([row.w.each, row.r.each, row.g.each], axis=0)
        np.testing.assert_allclose(product, row.scores.each, rtol=2e-3)
        slot = next(s for s in units.slots if s.name == row.name and units.is_filter[s.offset])
        own = np.unique(units.slot_units(slot))
        np.testing.assert_allclose(chosen.scores.values[own], row.scores.each, rtol=1e-3)
        for field, factor in (("w", WEIGHT), ("r", RANK), ("g", GRADIENT)):
            used = per_unit(chosen.collected.statistics.of(factor), units.count).values[own]
            np.testing.assert_allclose(getattr(row, field).each, used, rtol=1e-3)
    ranks = {one.layer: one for one in chosen.collected.statistics.of(RANK)}
    assert {one.layer for one in found.spectra} == {*ranks}
    for one in found.spectra:
        assert one.rank == pytest.approx(ranks[one.layer].values.mean(), rel=1e-3)
        assert one.values[0] == 1
        assert len(one.values) == min(one.size, 64)
        assert list(one.values) == sorted(one.values, reverse=True)
        assert one.images == 2


def test_of_several_rounds_units_that_went_before_have_no_score(tiny_unet, runs):
    found = detailed(tiny_unet, config(rounds=2)).details
    (run,) = runs
    assert run.rounds.done == 2
    rows = [row for row in found.layers if row.removable]
    gone = [s for row in rows for s, a in zip(row.scores.each, row.alive, strict=True) if not a]
    stayed = [s for row in rows for s, a in zip(row.scores.each, row.alive, strict=True) if a]
    assert 0 < gone.count(None) < len(gone)
    assert None not in stayed
    assert len(gone) == run.rounds.removed


def test_judged_images_are_shown_as_both_models_see_them(tiny_unet, runs):
    report = detailed(tiny_unet, config(evaluate=True, ratio=0.6))
    (run,) = runs
    found, judged = report.details.examples, run.judged.judgement
    assert (found.by, found.images) == ("max_f", 2)
    best, worst = found.shown
    assert (best.place, worst.place) == ("best", "worst")
    assert best.score <= worst.score
    names = [sample.name for sample in judged.data]
    for one in found.shown:
        index = names.index(one.name)
        assert one.max_f_before == pytest.approx(
            judged.per_image.before.curves["f"][index].max(), rel=1e-3
        )
        assert one.score == pytest.approx(one.max_f_before - one.max_f_after, abs=1e-3)
        assert one.mae_after == pytest.approx(judged.per_image.after.means["mae"][index], rel=1e-3)
        mask = judged.data[index].mask
        shown = np.abs(pixels_of(one.mask) / 255 - np.asarray(
            Image.fromarray((255 * mask).astype(np.uint8)).resize(
                (one.mask.width, one.mask.height), Image.Resampling.BOX)) / 255)  # fmt: skip
        assert shown.max() < 0.01
        assert pixels_of(one.input).ndim == 3
        change = np.abs(pixels_of(one.original) - pixels_of(one.pruned)) / 255
        assert pixels_of(one.difference).max() / 255 * one.difference_white >= change.max() - 0.01
    assert max(pixels_of(one.difference).max() for one in found.shown) > 200


def test_layers_are_timed_where_the_models_are(tiny_unet):
    report = detailed(tiny_unet, config(evaluate=True))
    found = report.details.latency
    assert len(found.layers) > 10
    assert {"Conv"} <= {row.op for row in found.layers}
    assert all(row.before_ms > 0 for row in found.layers if row.before_ms is not None)
    assert found.before_ms > 0
    assert found.after_ms > 0
    assert report.seconds["profile"] > 0
    convolutions = [row for row in found.layers if row.op == "Conv" and row.macs_after]
    assert all(row.macs_after <= row.macs_before for row in convolutions)


def test_what_is_not_timed_has_no_times_of_layers(tiny_unet, monkeypatch):
    monkeypatch.setattr("wrg_onnx.pipeline.judging.measure_speed", lambda *_, **__: ())
    report = detailed(tiny_unet, config(evaluate=True))
    assert report.details.latency is None
    assert report.details.examples is not None
    assert "profile" not in report.seconds


@pytest.fixture
def photos(tmp_path):
    """A folder of eight images and masks."""
    folder = tmp_path / "photos"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(8):
        image, mask = generate(np.random.default_rng(number), 96, 96)
        Image.fromarray(image).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


def test_images_without_masks_are_ordered_by_the_error(tiny_unet, photos, runs):
    for mask in (photos / "masks").iterdir():
        mask.unlink()
    (photos / "masks").rmdir()
    found = detailed(tiny_unet, config(evaluate=True, data=DataOptions(path=photos))).details
    (run,) = runs
    assert found.examples.by == "error"
    (errors,) = run.judged.judgement.per_image.errors
    each = np.sqrt(errors.difference / errors.reference)
    assert [one.score for one in found.examples.shown] == pytest.approx(
        [each.min(), each.max()], rel=1e-3
    )
    for one in found.examples.shown:
        assert one.score == one.error
        assert (one.mask, one.max_f_before, one.mae_after) == (None, None, None)


def test_the_data_set_is_told(tiny_unet, photos):
    data = DataOptions(path=photos, samples=5)
    found = detailed(tiny_unet, config(evaluate=True, data=data)).details.environment.data
    assert (found.path, found.made) == (str(photos), "")
    assert (found.samples, found.held_out) == (5, 2)
    assert found.sha256 == folder_digest(photos)


def test_what_was_made_is_told_with_its_seed(tiny_unet):
    found = detailed(tiny_unet, config(evaluate=True, seed=5)).details.environment
    assert found.seed == 5
    assert found.data.made == "generated images of tiny objects with masks, seed 5"
    assert (found.data.path, found.data.sha256, found.data.samples) == (None, "", 4)


def test_a_model_that_takes_no_image_has_no_pictures():
    model = build(
        """net (float[4,12] x) => (float[4,3] y) {
          a = MatMul(x, wa)  b = Relu(a)  y = MatMul(b, wb) }""",
        {"wa": normal(12, 32), "wb": normal(32, 3)},
    )
    report = detailed(model, config(evaluate=True))
    found = report.details
    assert report.accuracy is not None
    assert found.examples is None
    assert found.latency is not None
    assert [(row.name, row.units) for row in found.layers if row.removable] == [("wa", 32)]
    assert found.environment.data.made == "seeded random inputs, seed 0"


def test_a_search_shows_what_its_check_judged(tiny_unet, monkeypatch, runs):
    monkeypatch.setattr(max_drop, "STEP", 0.5)
    report = detailed(tiny_unet, config(ratio=0.0, max_drop=MaxDrop(0.9)))
    (run,) = runs
    assert report.search is not None
    assert report.details.examples.images == report.search.checked_on
    names = {sample.name for sample in run.judged.judgement.data}
    assert {one.name for one in report.details.examples.shown} <= names
    assert report.details.latency is not None


@pytest.mark.unfinished
@pytest.mark.parametrize("part", ["structure_of", "map_spectra", "show_examples", "profile_pair"])
def test_a_part_that_fails_leaves_the_others_and_the_model(tiny_unet, monkeypatch, tmp_path, part):
    def fail(*_, **__):
        raise DataError("it is gone")

    monkeypatch.setattr(module, part, fail)
    options = config(Criterion.R, evaluate=True)
    output = tmp_path / "out.onnx"
    report = prune(tiny_unet, output, options, details=CALL).report
    assert output.exists()
    (one,) = report.unfinished
    assert (one.stage, one.message) == ("report", "it is gone")
    found = report.details
    if part == "structure_of":
        assert found is None
        return
    assert bool(found.spectra) is (part != "map_spectra")
    assert (found.examples is None) is (part == "show_examples")
    assert (found.latency is None) is (part == "profile_pair")


def test_the_model_is_the_same_with_and_without_details(tiny_unet, tmp_path):
    for name, call in (("with", CALL), ("without", None)):
        prune(tiny_unet, tmp_path / f"{name}.onnx", config(Criterion.R), details=call)
    first, second = (tmp_path / f"{name}.onnx" for name in ("with", "without"))
    assert first.read_bytes() == second.read_bytes()
