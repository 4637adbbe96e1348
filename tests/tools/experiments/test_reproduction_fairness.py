"""What makes the rows of the table comparable: the same images, batches and judges for all."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from reproduction import stages
from reproduction.results import CONTROL, Cell
from reproduction.settings import PROFILES, Row
from reproduction.stages import base_path, make_base, pools, run_cell, write_pairs
from sod import training
from sod.nets import NetOptions
from sod.pool import HELD_OUT, TRAINING, make_pool
from sod.training import Recipe
from wrg_onnx.pipeline.config import Recovery
from wrg_onnx.select import Criterion

CPU = torch.device("cpu")
TINY = replace(
    PROFILES["quick"],
    size=32,
    net=NetOptions("vgg16_sod", 0.05, batch_norm=True),
    training=Recipe(1, batch=2),
    tuning=Recipe(3, batch=2),
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
    control = run_cell(TINY, tmp_path, Cell(1, 0.0, None), CPU)
    cut = run_cell(TINY, tmp_path, Cell(1, 0.5, Row(Criterion.L1)), CPU)
    assert (control.criterion, control.removed) == (CONTROL, 0)
    assert cut.removed == pytest.approx(0.5, abs=0.05)
    assert len(seen) == 6
    assert seen[:3] == seen[3:]
    assert len(set(seen)) == 3
    assert recipes == [(trained.fingerprint, replace(TINY.tuning, seed=1))] * 2
    assert judges == [judged.fingerprint] * 4


@pytest.mark.parametrize("fold", [False, True])
def test_a_folded_net_is_written_without_batch_normalisation(tmp_path, fold):
    make_base(replace(TINY, fold=fold), tmp_path, 0, CPU, lambda *_: None)
    nodes = {node.op_type for node in onnx.load(base_path(tmp_path, 0)).graph.node}
    assert ("BatchNormalization" in nodes) is not fold
