"""Many cuts from one calibration: what they are, what is kept of them, and how they fail."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields as fields_of
from dataclasses import replace

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import wrg_onnx
from wrg_onnx.channels import Limits
from wrg_onnx.cli import main
from wrg_onnx.errors import BudgetError, DataError, OutputError, UsageError, ValidationError
from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.metrics import MAX_F
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import measuring, samples, trials
from wrg_onnx.pipeline.commands import SAID_OTHERWISE, options_of, prune_command
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.sweep import SweepConfig, _with_knees, sweep
from wrg_onnx.report import to_plain, to_text
from wrg_onnx.report.sweep import rivals
from wrg_onnx.select import Criterion, Scope

pytestmark = pytest.mark.usefixtures("few_samples")
BOTH = (Criterion.L1, Criterion.L2)
CUT = PruneConfig(0.0, data=DataOptions(samples=2), timing=Timing(warmup=0, rounds=1))


def config(*ratios, criteria=(Criterion.L1,), cut=CUT, **fields):
    return SweepConfig(cut, ratios, criteria, **fields)


def test_each_point_is_what_its_command_makes_to_the_byte(tiny_unet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    criteria = (Criterion.L1, Criterion.REPAIR)
    asked = config(0.3, 0.5, criteria=criteria, out_dir=tmp_path / "cuts")
    report = sweep(tiny_unet, asked).report
    assert [(p.criterion, p.ratio) for p in report.points] == [
        ("l1", 0.3), ("l1", 0.5), ("repair", 0.3), ("repair", 0.5),
    ]  # fmt: skip
    for point in (report.points[1], report.points[2]):
        words = shlex.split(point.command)
        assert words[:2] == ["wrg-onnx", "prune"]
        made = tmp_path / f"{point.criterion}.onnx"
        done = CliRunner(catch_exceptions=False).invoke(
            main, [*words[1:], "--output", str(made), "--no-cache", "--json"]
        )
        assert done.exit_code == 0, done.output
        assert made.read_bytes() == (tmp_path / point.cut.output).read_bytes()
        told = json.loads(done.stdout)
        assert told["reached"] == point.cut.reached
        assert told["removed"] == point.cut.removed
        assert told["equivalence"]["error"] == point.cut.error
        assert told["accuracy"]["after"]["max_f"] == point.cut.change.after
        assert told["after"]["file_bytes"] == point.cut.cost.file_bytes


def test_all_points_rest_on_one_calibration(tiny_unet, monkeypatch):
    measured = []
    measure = measuring.measure_layers
    monkeypatch.setattr(
        measuring, "measure_layers", lambda *a, **k: measured.append(1) or measure(*a, **k)
    )

    criteria = (Criterion.L1, Criterion.WR, Criterion.REPAIR)
    report = sweep(tiny_unet, config(0.3, 0.5, criteria=criteria)).report
    assert len(report.points) == 6
    assert measured == [1]
    assert all(point.cut.error <= point.cut.tolerance for point in report.points)


def test_the_original_runs_once_on_each_sample_for_judging(tiny_unet, monkeypatch):
    runs = []

    def reference(self, data):
        class Counting(trials.Reference):
            def answer(self, index, sample):
                held = index in self._answers
                runs.extend([] if held else [index])
                return super().answer(index, sample)

        return Counting(self.session, data, self.samples.saliency, trials.ANSWER_BYTES)

    monkeypatch.setattr(trials.Trials, "reference", reference)
    sweep(tiny_unet, config(0.3, 0.4, 0.5))
    assert runs == [0, 1]


def test_a_ratio_that_units_do_not_allow_costs_no_other_point(tiny_unet):
    cut = replace(CUT, limits=Limits(keep=("down*", "bottom*")))
    report = sweep(tiny_unet, config(0.1, 0.9, cut=cut)).report
    assert report.points[0].cut is not None
    assert report.points[1].cut is None
    assert "cannot remove 90.0% of the parameters" in report.points[1].problem
    assert "the most is" in report.points[1].problem
    assert report.points[1].exit_code == 1
    text = " ".join(to_text(report).split())
    assert "l1 at 0.9: cannot remove 90.0% of the parameters" in text


def test_where_no_point_can_be_made_the_error_is_raised(tiny_unet):
    cut = replace(CUT, limits=Limits(keep=("down*", "bottom*")))
    with pytest.raises(BudgetError, match=r"cannot remove 90\.0%"):
        sweep(tiny_unet, config(0.9, 0.95, cut=cut))


def test_a_cut_that_is_not_proven_is_a_problem_of_its_point(tiny_unet, monkeypatch):
    cut = trials.Trials.cut

    def broken(self, asked, *rest):
        if asked.config.ratio == 0.5:
            raise ValidationError("they differ", error=1.0, tolerance=1e-4)
        return cut(self, asked, *rest)

    monkeypatch.setattr(trials.Trials, "cut", broken)
    report = sweep(tiny_unet, config(0.3, 0.5)).report
    assert [point.exit_code for point in report.points] == [0, 3]
    assert report.points[1].problem == "they differ"


# --- what is kept ------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    return replace(CUT, cache=tmp_path / "kept")


def stop_at(monkeypatch, ratio):
    cut = trials.Trials.cut

    def stopped(self, asked, *rest):
        if asked.config.ratio == ratio:
            raise KeyboardInterrupt
        return cut(self, asked, *rest)

    monkeypatch.setattr(trials.Trials, "cut", stopped)


def test_a_sweep_that_was_stopped_goes_on(tiny_unet, kept, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 0.5)
        with pytest.raises(KeyboardInterrupt):
            sweep(tiny_unet, config(0.3, 0.5, cut=kept))
    assert len(list((tmp_path / "kept").glob("*.point.json"))) == 1
    report = sweep(tiny_unet, config(0.3, 0.5, cut=kept)).report
    assert [point.kept for point in report.points] == [True, False]
    assert any("1 of 2 points were kept" in note for note in report.notes)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 0.3)
        again = sweep(tiny_unet, config(0.3, 0.5, cut=kept)).report
    assert [point.cut for point in again.points] == [point.cut for point in report.points]


def test_criteria_are_held_against_each_other_on_the_same_images_kept_points_too(
    tiny_unet, kept, monkeypatch
):
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 12)
    sweep(tiny_unet, config(0.3, cut=kept))
    report = sweep(tiny_unet, config(0.3, 0.5, cut=kept, criteria=BOTH)).report
    assert [point.kept for point in report.points] == [True, False, False, False]
    pairs = [*rivals(report)]
    assert [(point.criterion, point.ratio) for point, _ in pairs] == [("l2", 0.3), ("l2", 0.5)]
    for (point, change), first in zip(pairs, report.points[:2], strict=True):
        assert change.before == pytest.approx(first.cut.change.after, abs=1e-4)
        assert change.after == pytest.approx(point.cut.change.after, abs=1e-4)
        assert change.low <= change.change <= change.high
    text = to_text(report, 40)
    assert "max F on the same images" in " ".join(text.split())
    lines = text.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  wrg-onnx ")) <= 40


@pytest.mark.parametrize("change", ["seed", "samples", "metric", "recover"])
def test_a_point_of_another_sweep_is_not_taken(tiny_unet, kept, change):
    sweep(tiny_unet, config(0.3, cut=kept))
    others = {
        "seed": config(0.3, cut=replace(kept, seed=1)),
        "samples": config(0.3, cut=replace(kept, data=DataOptions(samples=3))),
        "metric": config(0.3, cut=kept, metric="MAE"),
        "recover": config(0.3, cut=replace(kept, recover=Recovery.BIAS)),
    }
    assert not sweep(tiny_unet, others[change]).report.points[0].kept


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', '{"key": "KEY", "cut": {}}'])
def test_a_damaged_point_is_named_and_made_anew(tiny_unet, kept, tmp_path, text):
    first = sweep(tiny_unet, config(0.3, cut=kept)).report
    (file,) = (tmp_path / "kept").glob("*.point.json")
    file.write_text(text.replace("KEY", json.loads(file.read_text())["key"]))
    report = sweep(tiny_unet, config(0.3, cut=kept)).report
    assert not report.points[0].kept
    assert any(f"'{file}' does not hold the point of a sweep" in note for note in report.notes)
    assert report.points[0].cut.change == first.points[0].cut.change
    assert sweep(tiny_unet, config(0.3, cut=kept)).report.points[0].kept


def test_points_are_shown_and_emptied_with_the_cache(tiny_unet, kept, tmp_path):
    sweep(tiny_unet, config(0.3, 0.5, cut=kept))
    assert wrg_onnx.cache(cache=tmp_path / "kept").report.files >= 2
    wrg_onnx.cache(cache=tmp_path / "kept", clear=True)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_point_whose_file_is_gone_is_made_anew(tiny_unet, kept, tmp_path):
    asked = config(0.3, 0.5, cut=kept, out_dir=tmp_path / "cuts")
    report = sweep(tiny_unet, asked).report
    (tmp_path / "cuts" / "tiny_unet.l1.0.3.onnx").unlink()
    again = sweep(tiny_unet, asked).report
    assert [point.kept for point in again.points] == [False, True]
    assert {path.name for path in (tmp_path / "cuts").iterdir()} == {
        "tiny_unet.l1.0.3.onnx", "tiny_unet.l1.0.5.onnx",
    }  # fmt: skip
    assert again.points[0].cut.cost == report.points[0].cut.cost


def test_files_that_are_there_are_not_replaced_without_force(tiny_unet, tmp_path):
    (tmp_path / "tiny_unet.l1.0.5.onnx").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        sweep(tiny_unet, config(0.3, 0.5, out_dir=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny_unet.l1.0.5.onnx"]


# --- commands ----------------------------------------------------------------------------------


OTHERS = PruneConfig(
    0.25, BudgetKind.MACS, Criterion.SEL, Scope.UNIFORM, floor=0.2,
    limits=Limits(keep=("head*",), only=("stage*",), head_dims=True, through_norms=True),
    data=DataOptions(
        samples=7, size=(32, 48), scale=1.0, mean=(-1.0, 2.0, 3.0), std=(1.0, 2.0, 3.0),
        order="bgr", layout="NHWC", shapes={"x": (1, 8)}, values={"sr": 16000.0},
    ),
    evaluate=True, strict=True, seed=5, recover=Recovery.FINETUNE, epochs=2, rounds=2,
    at_objects=0.25, certainty=0.9, amp=True, align=4, external_data=True,
)  # fmt: skip


def test_a_command_says_every_option(tmp_path, monkeypatch):
    found = {}
    monkeypatch.setattr(
        "wrg_onnx.pipeline.prune.prune", lambda *a, **_: found.update(config=a[2]) or None
    )
    monkeypatch.chdir(tmp_path)
    words = shlex.split(prune_command("my model.onnx", OTHERS))
    assert words[2] == "my model.onnx"
    with pytest.raises(AttributeError):  # there is no report to print
        CliRunner(catch_exceptions=False).invoke(main, [*words[1:], "--no-cache"])
    read = replace(found["config"], timing=OTHERS.timing, workers=OTHERS.workers, cache=None)
    assert read == OTHERS


def test_a_new_option_is_in_the_command_or_named_there():
    changed = {
        one.name for one in fields_of(PruneConfig)
        if getattr(OTHERS, one.name) != one.default and one.name not in SAID_OTHERWISE
    }  # fmt: skip
    left = {one.name for one in fields_of(PruneConfig)} - SAID_OTHERWISE - changed
    assert left == {"provider", "sparsify"}
    assert all(any(name.replace("_", "-") in o for o in options_of(OTHERS)) for name in changed)


def test_defaults_are_not_said():
    assert prune_command("m.onnx", PruneConfig(0.5)) == (
        "wrg-onnx prune m.onnx --ratio 0.5 --criterion repair"
    )


# --- other models, options ---------------------------------------------------------------------


BODY = """<ir_version: 8, opset_import: ["": 17]> g (float[2,8] x) => (float[2,4] y)
<float[8,32] a, float[32,4] b> {
    h = MatMul(x, a)  r = Relu(h)  y = MatMul(r, b)
}"""


def test_a_model_without_a_saliency_map_is_swept_by_its_outputs_error(monkeypatch):
    monkeypatch.setattr(samples, "RANDOM_FOR_VALIDATION", 12)
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(BODY)
    del model.graph.initializer[:]
    for name, shape in (("a", (8, 32)), ("b", (32, 4))):
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    report = sweep(model, config(0.2, 0.5, 0.8)).report
    assert report.metric == "relative error"
    errors = [point.cut.change.after for point in report.points]
    assert errors == sorted(errors)
    assert errors[0] > 0
    assert all(point.cut.change.before == 0 for point in report.points)
    assert report.recovery == "none"
    assert any("random inputs" in note for note in report.notes)
    with pytest.raises(DataError, match="'max F' holds saliency maps"):
        sweep(model, config(0.2, metric="max F"))


def test_few_samples_have_no_intervals_and_the_report_says_so(tiny_unet):
    report = sweep(tiny_unet, config(0.3, 0.6, 0.9)).report
    assert all(point.cut.change.low is None and not point.knee for point in report.points)
    assert any("2 held-out samples are too few for intervals" in n for n in report.notes)


def with_curve(report, values):
    """Let the points of a report have another metric, with narrow intervals."""
    points = []
    for point, after in zip(report.points, values, strict=True):
        change = Change("max F", 0.9, after, 0.9 - after, after - 0.901, after - 0.899, 40)
        points.append(replace(point, cut=replace(point.cut, change=change)))
    return replace(report, points=_with_knees(points, MAX_F))


def test_knees_are_marked_and_their_commands_printed(tiny_unet):
    found = sweep(tiny_unet, config(0.3, 0.6, 0.9, criteria=(Criterion.L1, Criterion.L2))).report
    report = with_curve(found, [0.9, 0.88, 0.2, 0.5, 0.3, 0.2])
    assert [point.knee for point in report.points] == [False, True, False, False, False, False]
    lines = to_text(report).splitlines()
    place = lines.index("Knee of 'l1' at 0.6, furthest above the chord of its curve:")
    assert lines[place + 1] == f"  {found.points[1].command}", "whole, so that a copy of it runs"
    place = lines.index("No knee of 'l2' stands out of the intervals. The last point:")
    assert lines[place + 1] == f"  {found.points[5].command}"
    assert max(len(line) for line in lines if "wrg-onnx prune" not in line) <= 80
    assert to_plain(report)["points"][1]["knee"] is True
    still = " ".join(to_text(with_curve(found, [0.9] * 6)).split())
    assert "No knee of 'l1' is there: nothing is lost for certain up to 0.9." in still


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ratios": ()}, "ratios must hold one"),
        ({"criteria": ()}, "criteria must hold one"),
        ({"ratios": (1.2,)}, r"ratios must be in \[0, 1\), got 1.2"),
    ],
)
def test_bad_options_are_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        replace(config(0.5), **fields)


def test_amp_is_for_criteria_with_gradients_alone(tiny_unet, monkeypatch):
    seen = []

    def cut(_, asked, *__):
        seen.append((asked.config.criterion.name, asked.config.amp))
        raise BudgetError("none", wanted=0.5, possible=0.0, frozen=0.0)

    monkeypatch.setattr(trials.Trials, "cut", cut)
    both = replace(CUT, criterion=Criterion.G, amp=True)
    with pytest.raises(BudgetError):
        sweep(tiny_unet, config(0.5, criteria=(Criterion.L1, Criterion.G), cut=both))
    assert seen == [("l1", False), ("g", True)]


# --- models that are written ----------------------------------------------------------------------


def stopped_behind(monkeypatch, name):
    """Stop a sweep where a point's model is written and the point is not kept yet."""
    from wrg_onnx.pipeline.kept_points import KeptPoints

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(KeptPoints, name, stop)


def test_a_sweep_that_was_stopped_behind_the_writing_of_a_model_goes_on(
    tiny_unet, kept, tmp_path, monkeypatch
):
    asked = config(0.3, cut=kept, out_dir=tmp_path / "cuts")
    with monkeypatch.context() as patch:
        stopped_behind(patch, "keep")
        with pytest.raises(KeyboardInterrupt):
            sweep(tiny_unet, asked)
    path = tmp_path / "cuts" / "tiny_unet.l1.0.3.onnx"
    before = path.read_bytes()
    report = sweep(tiny_unet, asked).report  # without --force: the file is known
    assert not report.points[0].kept
    assert path.read_bytes() == before
    assert sweep(tiny_unet, asked).report.points[0].kept


def test_a_file_that_somebody_else_put_there_needs_force(tiny_unet, kept, tmp_path, monkeypatch):
    asked = config(0.3, cut=kept, out_dir=tmp_path / "cuts")
    with monkeypatch.context() as patch:
        stopped_behind(patch, "keep")
        with pytest.raises(KeyboardInterrupt):
            sweep(tiny_unet, asked)
    path = tmp_path / "cuts" / "tiny_unet.l1.0.3.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(OutputError, match="exists; --force replaces it"):
        sweep(tiny_unet, asked)


def test_a_point_whose_model_was_changed_is_not_taken(tiny_unet, kept, tmp_path):
    asked = config(0.3, cut=kept, out_dir=tmp_path / "cuts")
    first = sweep(tiny_unet, asked).report
    path = tmp_path / "cuts" / "tiny_unet.l1.0.3.onnx"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(OutputError, match="exists; --force replaces it"):
        sweep(tiny_unet, asked)
    again = sweep(tiny_unet, replace(asked, force=True)).report
    assert not again.points[0].kept
    assert again.points[0].cut.cost == first.points[0].cut.cost


def test_a_damaged_point_is_named_where_its_model_is_in_the_way(tiny_unet, kept, tmp_path):
    asked = config(0.3, cut=kept, out_dir=tmp_path / "cuts")
    sweep(tiny_unet, asked)
    (file,) = (tmp_path / "kept").glob("*.point.json")
    file.write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match=r"--force replaces it.*does not hold the point of a"):
        sweep(tiny_unet, asked)
    assert not sweep(tiny_unet, replace(asked, force=True)).report.points[0].kept
