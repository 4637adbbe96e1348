"""What makes the rows of the table comparable: the same images, batches and judges for all."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from reproduction import stages
from reproduction.results import CONTROL, Cell, Store
from reproduction.settings import PROFILES, Cut, Row, Tuning
from reproduction.stages import base_path, make_base, pools, run_cell, write_pairs
from sod import training
from sod.nets import NetOptions
from sod.pool import HELD_OUT, TRAINING, make_pool
from sod.training import Recipe
from wrg_onnx.pipeline.config import BudgetKind, Recovery
from wrg_onnx.select import Criterion

CPU = torch.device("cpu")
TINY = replace(
    PROFILES["quick"][0],
    size=32,
    net=NetOptions("vgg16_sod", 0.05, batch_norm=True),
    training=Recipe(1, batch=2),
    tuning=Recipe(9, batch=2),
    tunings=(Tuning(3), Tuning(5)),
    images=12,
    held_out=3,
    samples=6,
    recover=Recovery.NONE,
)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folders(tmp_path):
    """Write pairs that train, and others that judge; return the settings with both."""
    for name, stream in (("train", TRAINING), ("judge", HELD_OUT)):
        write_pairs(make_pool(12, 32, seed=0, stream=stream), 9, tmp_path / name)
    return replace(TINY, data=(str(tmp_path / "train"),), judge=(str(tmp_path / "judge"),))


def calibration(settings, folder, monkeypatch):
    """Return the images and masks that statistics come from, without training anything."""
    monkeypatch.setattr(stages, "train", lambda *_, **__: None)
    monkeypatch.setattr(stages, "export_module", lambda *_, **__: None)
    make_base(settings, folder, 0, CPU, lambda *_: None)
    kept = base_path(folder, 0).with_name("calibration")
    images = [np.array(Image.open(path)) for path in sorted((kept / "images").iterdir())]
    masks = [np.array(Image.open(path)) > 0 for path in sorted((kept / "masks").iterdir())]
    return images, masks


def as_bytes(pool):
    """Return each pair as bytes."""
    return [
        (image.permute(1, 2, 0).contiguous().numpy().tobytes(), mask[0].numpy().tobytes())
        for image, mask in zip(pool.images, pool.masks, strict=True)
    ]


@pytest.mark.parametrize("source", ["made", "folder", "folder and judge"])
def test_statistics_come_from_training_pairs_and_from_none_that_judge(
    tmp_path, monkeypatch, folders, source
):
    settings = {"made": TINY, "folder": replace(folders, judge=()), "folder and judge": folders}
    images, masks = calibration(settings[source], tmp_path / "run", monkeypatch)
    seen = [(i.tobytes(), m.tobytes()) for i, m in zip(images, masks, strict=True)]
    trains, judges = map(as_bytes, pools(settings[source], 0))
    # `prune` sets a quarter of them aside: six are left to look at.
    assert len(seen) == len(set(seen)) == 8
    assert set(seen) <= set(trains)
    assert not {image for image, _ in seen} & {image for image, _ in judges}


def test_all_seeds_are_judged_by_the_same_images_and_trained_on_their_own():
    found = [pools(TINY, seed) for seed in (0, 1, 2)]
    assert len({judged.fingerprint for _, judged in found}) == 1
    assert len({trained.fingerprint for trained, _ in found}) == 3


def test_all_seeds_of_a_folder_train_and_judge_on_the_same_pairs(folders):
    for settings in (folders, replace(folders, judge=())):
        found = [pools(settings, seed) for seed in (0, 1)]
        assert len({(a.fingerprint, b.fingerprint) for a, b in found}) == 1


def test_a_folder_that_judges_holds_nothing_out_of_the_one_that_trains(folders):
    trained, judged = pools(folders, 0)
    assert (len(trained), len(judged)) == (12, 12)
    assert judged.content.endswith("judge")
    trained, judged = pools(replace(folders, judge=()), 0)
    assert (len(trained), len(judged)) == (9, 3)
    assert judged.content.endswith("train")


def test_a_cut_net_and_the_control_see_the_same_batches_and_judges(tmp_path, monkeypatch):
    make_base(TINY, tmp_path, 1, CPU, lambda *_: None)
    trained, judged = pools(TINY, 1)
    seen, recipes, judges = [], [], []
    draw, train, judge = training.draw_batch, stages.train, stages.judge

    def drawn(pool, rng, count):
        batch = draw(pool, rng, count)
        seen.append(b"".join(part.numpy().tobytes() for part in batch))
        return batch

    def trains(net, pool, recipe, **more):
        recipes.append((pool.fingerprint, recipe))
        return train(net, pool, recipe, **more)

    def judging(graph, pool):
        judges.append(pool.fingerprint)
        return judge(graph, pool)

    monkeypatch.setattr(training, "draw_batch", drawn)
    monkeypatch.setattr(stages, "train", trains)
    monkeypatch.setattr(stages, "judge", judging)
    store = Store(tmp_path, TINY)
    cut = Cut(BudgetKind.MACS, 0.5, Row(Criterion.L1))
    for one in (None, cut):
        run_cell(TINY, store, Cell(1, one, (0, 3, 5)), CPU)
    found = store.all(replace(TINY, seeds=(1,), ratios=(0.5,)))
    assert [(r.criterion, r.steps) for r in found] == [
        (name, steps) for name in ("l1", CONTROL) for steps in (0, 3, 5)
    ]
    for result in found:
        wanted = 0 if result.criterion == CONTROL else 0.5
        assert result.removed["macs"] == pytest.approx(wanted, abs=0.05)
    assert len(seen) == 16
    assert seen[:8] == seen[8:]
    # A longer schedule begins with the batches of a shorter one.
    assert seen[:3] == seen[3:6]
    assert len(set(seen)) == 5
    recipe = replace(TINY.tuning, seed=1)
    asked = [(trained.fingerprint, replace(recipe, steps=steps)) for steps in (3, 5)]
    assert recipes == asked * 2
    assert judges == [judged.fingerprint] * 6


def test_each_tuning_starts_from_what_recovery_left(tmp_path):
    make_base(TINY, tmp_path / "one", 0, CPU, lambda *_: None)
    make_base(TINY, tmp_path / "two", 0, CPU, lambda *_: None)
    cut = Cut(BudgetKind.PARAMS, 0.5, Row(Criterion.L1))
    together, alone = (Store(tmp_path / name, TINY) for name in ("one", "two"))
    run_cell(TINY, together, Cell(0, cut, (0, 3, 5)), CPU)
    for steps in (5, 0):
        run_cell(TINY, alone, Cell(0, cut, (steps,)), CPU)
    settings = replace(TINY, ratios=(0.5,))
    scores = [{r.steps: r.scores for r in one.all(settings)} for one in (together, alone)]
    assert scores[1] == {steps: scores[0][steps] for steps in (0, 5)}
    assert scores[0][0] != scores[0][3] != scores[0][5]


@pytest.mark.parametrize("fold", [False, True])
def test_a_folded_net_is_written_without_batch_normalisation(tmp_path, fold):
    make_base(replace(TINY, fold=fold), tmp_path, 0, CPU, lambda *_: None)
    nodes = {node.op_type for node in onnx.load(base_path(tmp_path, 0)).graph.node}
    assert ("BatchNormalization" in nodes) is not fold
