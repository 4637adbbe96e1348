from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bench_max_drop
from bench_max_drop import divide, lines, main, measure
from wrg_onnx.pipeline import max_drop
from wrg_onnx.tsod.scenes import generate

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    for kind in ("images", "masks"):
        (path / kind).mkdir()
    for number in range(24):
        image, mask = generate(np.random.default_rng(number), 96, 96)
        Image.fromarray(image).save(path / "images" / f"{number}.jpg")
        Image.fromarray(mask).save(path / "masks" / f"{number}.png")
    return path


def test_both_parts_hold_pairs_and_no_image_twice(folder, tmp_path):
    parts = divide(folder, tmp_path, 0.25, seed=0)
    names = [{path.stem for path in (part / "images").iterdir()} for part in parts]
    assert [len(part) for part in names] == [18, 6]
    assert not names[0] & names[1]
    for part, images in zip(parts, names, strict=True):
        assert {path.stem for path in (part / "masks").iterdir()} == images


def test_the_answer_is_judged_on_images_that_the_search_had_not(folder, monkeypatch):
    monkeypatch.setattr(max_drop, "STEP", 0.5)
    options = Namespace(max_drop=0.9, metric=None, unseen=0.5, samples=2, criterion="l1")
    trial = measure(ROOT / "models" / "tiny_unet.onnx", folder, options, seed=0)
    assert trial.unseen.images == 12
    assert trial.search.answer.change.images < 12
    assert trial.holds
    said = "\n".join(lines(0, trial))
    assert "the report: max F" in said
    assert "elsewhere:  max F" in said
    assert "  holds: a drop of" in said


def test_without_the_data_it_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["bench_max_drop.py", "--data", str(tmp_path / "none")])
    monkeypatch.setattr(bench_max_drop, "MODEL", tmp_path)
    main()
    assert "skipped: there is no '" in capsys.readouterr().err
