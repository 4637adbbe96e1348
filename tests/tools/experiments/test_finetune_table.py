"""The table of fine-tuning: a row a rate, judged on a folder that nobody trained on."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("py_sod_metrics")

import wrg_onnx
from finetune_table import main

UNET = "models/tiny_unet.onnx"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("masks", ["--masks", "--no-masks"])
def test_each_rate_has_a_row(tmp_path, masks):
    wrg_onnx.tsod_make(tmp_path / "train", count=6, size=160)
    wrg_onnx.tsod_make(tmp_path / "judge", count=2, size=160, seed=1)
    cut = tmp_path / "cut.onnx"
    wrg_onnx.prune(UNET, cut, ratio=0.3, criterion="l1")
    done = CliRunner(catch_exceptions=False).invoke(
        main,
        [str(cut), UNET, "--train", str(tmp_path / "train"), "--judge", str(tmp_path / "judge"),
         "--rate", "1e-3", "--rate", "1e-9", "--epochs", "1", "--samples", "3", "--held-out", "2",
         masks],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    head, _, first, second = done.output.strip().splitlines()
    columns = [line.count("|") for line in (head, first, second)]
    assert columns == [7, 7, 7]
    assert first.startswith("| 0.001 | ")
    assert "judge start 0." in first
    assert ("- -> -" in first) == (masks == "--no-masks")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    done = CliRunner().invoke(
        main, [UNET, UNET, "--train", str(tmp_path / "no"), "--judge", "x", "--rate", "1"]
    )
    assert done.exit_code == 1
    assert "no" in done.output
