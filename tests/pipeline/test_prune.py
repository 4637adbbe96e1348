"""The stages in order, on the committed model."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from wrg_onnx.calibrate.cache import LAYERS_SUFFIX
from wrg_onnx.channels import Limits
from wrg_onnx.data.dataset import generated
from wrg_onnx.errors import BudgetError, DataError, MissingPackageError, OutputError, UsageError
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import choose
from wrg_onnx.pipeline import prune as stages
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion, Scope

pytestmark = pytest.mark.usefixtures("few_samples")
SHORT = Timing(warmup=0, rounds=1)
TWO = DataOptions(samples=2)


def config(ratio, criterion=Criterion.L1, **fields):
    return PruneConfig(ratio, criterion=criterion, data=TWO, timing=SHORT, **fields)


def interface(path):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [[(v.name, v.shape, v.type) for v in values]
            for values in (session.get_inputs(), session.get_outputs())]  # fmt: skip


@pytest.mark.parametrize("ratio", [0.3, 0.6])
@pytest.mark.parametrize("criterion", [Criterion.L1, Criterion.WR, Criterion.SEL, Criterion.G])
def test_the_committed_model_is_pruned_end_to_end(tiny_unet, tmp_path, criterion, ratio):
    if criterion.needs_gradient:
        pytest.importorskip("torch")
    output = tmp_path / "pruned.onnx"
    stages_seen = []
    report = prune(
        tiny_unet, output, config(ratio, criterion),
        progress=lambda stage, *_: stages_seen.append(stage),
    ).report  # fmt: skip
    assert abs(report.reached - ratio) <= 0.005
    assert report.equivalence.error <= report.equivalence.tolerance
    assert interface(output) == interface(tiny_unet)
    assert [path.name for path in tmp_path.iterdir()] == ["pruned.onnx"]
    onnx.checker.check_model(str(output), full_check=True)

    assert (report.model, report.output) == (str(tiny_unet), str(output))
    assert (report.criterion, report.budget, report.scope) == (criterion.name, "params", "global")
    assert report.before.file_bytes == tiny_unet.stat().st_size
    assert report.after.file_bytes == output.stat().st_size
    assert report.after.parameters == pytest.approx(
        report.before.parameters * (1 - report.reached), abs=1
    )
    assert report.after.macs < report.before.macs
    assert 0 < report.removed < report.units
    assert sum(group.units - group.kept for group in report.groups) == report.removed
    if criterion.needs_data:
        assert report.calibration == "2 generated images of tiny objects with masks"
        assert report.accuracy.data == report.calibration
        assert report.accuracy.before.images == 2
        assert report.speed[0].provider == "cpu"
        assert any("--data" in note for note in report.notes)
    else:
        assert (report.calibration, report.accuracy) == ("weights alone", None)
        assert (report.speed, report.notes) == ((), ())
    assert {"analyse", "validate", "save"} <= set(report.seconds) <= {*stages_seen}
    assert set(report.cpu_seconds) == set(report.seconds)
    assert sum(report.cpu_seconds.values()) > 0


def test_ratio_zero_changes_no_number(tiny_unet, tmp_path):
    output = tmp_path / "same.onnx"
    report = prune(tiny_unet, output, config(0.0)).report
    assert (report.removed, report.reached, report.equivalence.error) == (0, 0, 0)
    image = np.random.default_rng(0).standard_normal((1, 3, 160, 160)).astype(np.float32)
    first, second = (
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"image": image})
        for path in (tiny_unet, output)
    )
    np.testing.assert_array_equal(first[0], second[0])


def test_a_dry_run_reports_and_writes_nothing(tiny_unet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = prune(tiny_unet, None, config(0.5)).report
    assert (report.output, report.after.file_bytes) == (None, None)
    assert report.reached == pytest.approx(0.5, abs=0.005)
    assert list(tmp_path.iterdir()) == []


def test_the_macs_budget_is_hit_in_macs(tiny_unet):
    report = prune(tiny_unet, None, config(0.5, budget=BudgetKind.MACS)).report
    assert report.reached == pytest.approx(0.5, abs=0.005)
    assert report.after.macs == pytest.approx(report.before.macs * (1 - report.reached))


def test_kept_layers_keep_their_width_and_only_limits_the_rest(tiny_unet):
    name = "bottom.0.0.weight"
    kept = prune(tiny_unet, None, config(0.3, limits=Limits(keep=("bottom.0.*",)))).report
    assert all(group.kept == group.units for group in kept.groups if group.name == name)
    only = prune(tiny_unet, None, config(0.1, limits=Limits(only=("bottom.1.*",)))).report
    shrunk = {group.name for group in only.groups if group.kept < group.units}
    assert shrunk == {"bottom.1.first.0.weight"}


def test_uniform_scope_takes_the_same_share_of_each_layer(tiny_unet):
    report = prune(tiny_unet, None, config(0.5, scope=Scope.UNIFORM)).report
    shares = [group.kept / group.units for group in report.groups if group.units >= 16]
    assert max(shares) - min(shares) < 0.1


@pytest.mark.parametrize("criterion", [Criterion.WR, Criterion.RANDOM])
def test_the_same_seed_gives_the_same_bytes(tiny_unet, tmp_path, criterion):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        prune(
            tiny_unet, tmp_path / f"{name}.onnx",
            config(0.5, criterion, seed=seed, evaluate=False),
        )  # fmt: skip
    a, b, c = ((tmp_path / f"{name}.onnx").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_weights_alone_read_no_image(tiny_unet, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("samples were gathered")

    monkeypatch.setattr(stages, "open_samples", refuse)
    assert prune(tiny_unet, None, config(0.5)).report.calibration == "weights alone"


def test_a_model_may_be_replaced_by_its_pruned_self(tiny_unet, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_unet.read_bytes())
    report = prune(path, path, config(0.5), force=True).report
    assert report.before.file_bytes == tiny_unet.stat().st_size
    assert report.after.file_bytes == path.stat().st_size < report.before.file_bytes


# --- refusals ------------------------------------------------------------------------------------


def test_an_impossible_ratio_says_what_is_possible(tiny_unet, tmp_path):
    output = tmp_path / "out.onnx"
    limits = Limits(keep=("down*", "bottom*"))
    with pytest.raises(BudgetError, match=r"cannot remove 90.0% .* the most is") as caught:
        prune(tiny_unet, output, config(0.9, limits=limits))
    possible = caught.value.possible
    assert 0 < possible < 0.9
    assert not output.exists()
    report = prune(tiny_unet, output, config(possible, limits=limits)).report
    assert report.reached == pytest.approx(possible)


def test_an_output_is_not_replaced_without_force(tiny_unet, tmp_path):
    output = tmp_path / "out.onnx"
    output.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        prune(tiny_unet, output, config(0.5))
    assert output.read_text() == "mine"


@pytest.mark.parametrize("name", ["out.txt", "out.ort", "out"])
def test_an_output_must_be_named_onnx(tiny_unet, tmp_path, name):
    with pytest.raises(UsageError, match=r"must end in \.onnx"):
        prune(tiny_unet, tmp_path / name, config(0.5))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["keep", "only"])
def test_a_glob_that_matches_nothing_is_refused(tiny_unet, option):
    with pytest.raises(UsageError, match=f"{option} 'botom.\\*' matches no node or weight"):
        prune(tiny_unet, None, config(0.1, limits=Limits(**{option: ("botom.*",)})))


def test_missing_metrics_are_told_before_the_long_work(tiny_unet, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the long work started")

    monkeypatch.setitem(__import__("sys").modules, "py_sod_metrics", None)
    monkeypatch.setattr(choose, "collect", refuse)
    with pytest.raises(MissingPackageError, match=r"wrg-onnx\[metrics\].*--no-evaluate"):
        prune(tiny_unet, None, config(0.5, Criterion.R))


def folder_of(path, tiny_unet_size, count):
    from PIL import Image

    from wrg_onnx.tsod.scenes import generate

    for kind in ("images", "masks"):
        (path / kind).mkdir(parents=True)
    for number in range(count):
        image, mask = generate(np.random.default_rng(number), tiny_unet_size, tiny_unet_size)
        Image.fromarray(image).save(path / "images" / f"{number}.png")
        Image.fromarray(mask).save(path / "masks" / f"{number}.png")
    return path


def test_a_single_sample_is_not_judged_on_what_it_calibrated(tiny_unet, tmp_path):
    data = DataOptions(folder_of(tmp_path / "one", 80, 1))
    asked = dataclasses.replace(config(0.5, Criterion.R), data=data)
    with pytest.raises(DataError, match=r"a single sample.*--no-evaluate"):
        prune(tiny_unet, None, asked)
    report = prune(tiny_unet, None, dataclasses.replace(asked, evaluate=False)).report
    assert report.calibration.startswith("1 images with masks from")
    assert report.recovery.method == "bias"
    assert any("a single sample" in note for note in report.notes)


def test_more_samples_than_there_are_take_all(tiny_unet, tmp_path):
    data = DataOptions(folder_of(tmp_path / "four", 80, 4), samples=99)
    report = prune(tiny_unet, None, dataclasses.replace(config(0.5, Criterion.R), data=data)).report
    assert report.calibration == f"3 of 4 images with masks from {data.path}"
    assert report.accuracy.before.images == 1
    assert any(note.startswith("3 samples are few to recover from") for note in report.notes)


def test_the_generator_is_not_read_at_the_same_places_twice(tiny_unet):
    from wrg_onnx.graph import bind_sizes, load
    from wrg_onnx.pipeline.samples import gather_samples

    graph = load(tiny_unet)
    found = gather_samples(graph, bind_sizes(graph.inputs), TWO, seed=0)
    names = [sample.name for part in (found.calibration, found.validation) for sample in part]
    assert len(names) == len(set(names)) == 4
    whole = generated(found.preprocessing, 4, 0)
    assert names == [sample.name for sample in whole]


def test_gradients_in_bfloat16_are_others_and_kept_apart(tiny_unet, tmp_path):
    pytest.importorskip("torch")
    kept = {}
    for amp in (False, True):
        report = prune(tiny_unet, None, config(0.5, Criterion.G, cache=tmp_path, amp=amp)).report
        assert abs(report.reached - 0.5) <= 0.005
        for path in tmp_path.glob("*.npz"):
            if not path.name.endswith(LAYERS_SUFFIX):  # no gradient is in what ridge has kept
                kept.setdefault(path, amp)
    assert sorted(kept.values()) == [False, True]
    rows = [np.load(path)["factor.gradient"] for path in kept]
    # Effects cancel in the mean over places, rounding does not: in sum it is near, not one by one.
    assert 0 < np.abs(rows[0] - rows[1]).sum() < 0.2 * rows[0].sum()
