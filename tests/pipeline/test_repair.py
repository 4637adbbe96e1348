"""``--criterion repair``: what recovery can make up for goes first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from strategies import build, normal

import wrg_onnx
from wrg_onnx.errors import UsageError
from wrg_onnx.pipeline.config import PruneConfig

SHORT = {"samples": 8, "cache": False, "provider": "cpu"}


def pruned(tiny_unet, criterion, **options):
    return wrg_onnx.prune(
        tiny_unet, ratio=0.6, criterion=criterion, **{**SHORT, "samples": 16, **options}
    ).report


def test_the_committed_model_loses_60_percent_and_no_accuracy(tiny_unet: Path):
    pytest.importorskip("py_sod_metrics")
    report = pruned(tiny_unet, "repair", evaluate=True)
    assert report.reached == pytest.approx(0.6, abs=0.001)
    before, after = report.accuracy.before, report.accuracy.after
    for metric in ("max_f", "mean_f", "weighted_f", "s_measure", "max_e"):
        assert getattr(after, metric) > getattr(before, metric) - 0.004, metric
    assert after.mae < before.mae + 0.001
    by_norm = pruned(tiny_unet, "l1", recover="ridge", evaluate=True)
    assert after.max_f > by_norm.accuracy.after.max_f + 0.01
    assert report.images == 16
    assert report.certainty is None


def test_the_same_seed_gives_the_same_choice(tiny_unet):
    one, again = (pruned(tiny_unet, "repair", evaluate=False, samples=4) for _ in range(2))
    assert one.groups == again.groups


def test_who_asks_is_told_how_certain_the_choice_is(tiny_unet):
    asked = [
        pruned(tiny_unet, "repair", evaluate=False, samples=samples, certainty=0.9)
        for samples in (4, 12)
    ]
    few, many = (report.certainty for report in asked)
    assert 0.3 < few < many < 1
    # The choice is that of all samples, whoever asks.
    unasked = pruned(tiny_unet, "repair", evaluate=False, samples=12)
    assert unasked.groups == asked[1].groups
    assert unasked.certainty is None


def test_of_three_images_no_half_can_choose(tiny_unet):
    report = pruned(tiny_unet, "repair", evaluate=False, samples=3, certainty=0.9)
    assert report.certainty is None


def test_sel_multiplies_what_remains_lost(tiny_unet):
    pytest.importorskip("torch")
    both = pruned(tiny_unet, "sel-repair", evaluate=False, samples=4)
    alone = pruned(tiny_unet, "repair", evaluate=False, samples=4)
    assert both.reached == pytest.approx(0.6, abs=0.001)
    assert both.groups != alone.groups


def test_rounds_measure_what_the_last_one_left(tiny_unet):
    report = pruned(tiny_unet, "repair", evaluate=False, samples=4, rounds=2)
    assert report.reached == pytest.approx(0.6, abs=0.005)


def test_too_few_rows_and_a_missing_recovery_are_told(tiny_unet):
    report = pruned(
        tiny_unet, "repair", evaluate=False, samples=2, recover="none", size=None, floor=0.2
    )
    (told,) = [note for note in report.notes if "chooses what recovery can make up for" in note]
    assert told.endswith("there is none")
    few = [note for note in report.notes if "more numbers than there were rows" in note]
    assert len(few) == 1
    assert "more images would do for" in few[0]


def test_it_looks_at_images_and_needs_no_torch(tiny_unet, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    report = pruned(tiny_unet, "repair", evaluate=False, samples=2)
    assert report.calibration.startswith("2 generated images")


MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told", "options"),
    [
        ("shufflenet_v2_12_int8", "only the sizes of the weights count", {}),
        ("ultraface_RFB_320", "more numbers than there were rows", {}),
        (
            "silero_vad_16k_op15", "more numbers than there were rows",
            {"shape": {"input": (1, 512)}, "value": {"sr": 16000}},
        ),
    ],
)  # fmt: skip
def test_a_model_from_elsewhere_is_cut_and_told_what_was_not_measured(name, told, options):
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    report = wrg_onnx.prune(
        path, ratio=0.2, criterion="repair", evaluate=False, recover="none",
        **{**SHORT, "samples": 2, **options},
    ).report  # fmt: skip
    assert report.reached == pytest.approx(0.2, abs=0.005)
    assert any(told in note for note in report.notes)


def test_images_that_leave_every_map_dead_are_told():
    weights = {"w": -np.abs(normal(6, 3, 1, 1)), "v": normal(4, 6, 1, 1), "u": normal(1, 4, 1, 1)}
    text = """net (float[1,3,16,16] x) => (float[1,1,16,16] y) {
        q = Mul(x, x)  a = Conv(q, w)  p = Relu(a)  b = Conv(p, v)  r = Relu(b)  y = Conv(r, u) }"""
    report = wrg_onnx.prune(
        build(text, weights), ratio=0.3, evaluate=False, samples=4, cache=False, provider="cpu"
    ).report
    (told,) = [note for note in report.notes if "read the same at every place" in note]
    assert told.startswith("2 of 3 measured layers")


def test_processes_cannot_share_it():
    class Two:
        index, count = 0, 2

    with pytest.raises(UsageError, match="'repair' takes no statistics that processes could share"):
        PruneConfig(0.5, workers=Two())
