"""The text of each report as it is recorded, in a narrow and in a usual terminal."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from paged import BARE, PRUNED, SWEPT, VALIDATED, scores

from wrg_onnx.calibrate import CacheReport
from wrg_onnx.evaluate.agreement import OutputAgreement
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.finetune import Between, EpochResult
from wrg_onnx.latency import Latency, Noise, Ratio
from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report import BenchReport, FinetuneReport, InspectReport, to_text
from wrg_onnx.report.paged import PageReport
from wrg_onnx.report.records import BenchReports, ExportReport, FrozenReport, GroupReport
from wrg_onnx.tsod import (
    BackgroundCount,
    FilterOptions,
    FilterReport,
    MakeReport,
    SetCount,
)

LONG = "encoder.layers.11.attention.self.query.weight"

LAYERS = (
    LayerTime("node_Conv_278", "Conv", 1, 1234.5, 0.51, macs_before=8 * 10**9, macs_after=10**9,
              why="out of blocks: 41 input channels, no multiple of 4"),
    LayerTime(LONG, "MatMul", 0, 0.25, 0.125),
)  # fmt: skip

BENCHED = BenchReport(
    provider="cpu",
    latency={"models/a.onnx": Latency(1234.5, 2345.6, 1240.0, 50),
             "models/b.onnx": Latency(617.25, 700.0, 620.0, 50)},
    input_shapes={"image": (16, 3, 1024, 1024)}, batch=16, threads=64, runtime="1.32.0",
    processes=5, throughput={"models/a.onnx": 12.9, "models/b.onnx": 25.9},
    peak_bytes={"models/a.onnx": 12_345_000_000, "models/b.onnx": None},
    processes_ms={"models/a.onnx": (1234.5,) * 5, "models/b.onnx": (617.25,) * 5},
    speedup={"models/b.onnx": Ratio(2.0, 1.9, 2.1)},
    noise={"models/a.onnx": Noise(1.2, 2.4), "models/b.onnx": Noise(1.01, 1.2)},
    profile={"models/b.onnx": SideBySide(LAYERS, 1234.75, 0.635)}, notes=("a batch of 16",),
)  # fmt: skip

TUNED = FinetuneReport(
    model="m.pruned.onnx", teacher="m.onnx", output="m.pruned.tuned.onnx",
    data="images with masks from my_images", training=216, held_out=24,
    objective="masks, the teacher's 1 output, 12 of its feature maps", device="cpu", planned=20,
    patience=5, epochs=17, best_epoch=12, loss_before=2.5, loss_after=1.25,
    history=(EpochResult(0, None, 2.5, 0.8), EpochResult(17, 1.9, 1.5, 0.85)), between=(),
    chosen=Between(1.0, 1.25, 0.86), error=3e-7,
    before=Accuracy("80 images", scores(0.8), scores(0.5), (OutputAgreement("map", 0.9, 80, 0),)),
    after=Accuracy("80 images", scores(0.8), scores(0.75), (OutputAgreement("map", 0.1, 80, 0),)),
    notes=("CUDA was out of memory",), seconds={"train": 61.4},
)  # fmt: skip

INSPECTED = InspectReport(
    "models/m.onnx", Cost(138_357_544, 15_470_264_320, 553_000_000),
    tuple(GroupReport(f"{LONG}{number}", 4096, 4096, 4000, 1_234_567, 3) for number in range(22)),
    (FrozenReport("Softmax 'attention/softmax' normalises over it", 3072, 1_000_000, 0.123,
                  met=f"MatMul '{LONG}' meets axis 1 of 'hidden'", largest_ratio=0.7,
                  way_out="--through-norms"),),
    0.25, 0.6, {"/reshape": "heads carry the units"}, {"x": (1, 3, 224, 224)},
)  # fmt: skip

MADE = MakeReport(
    "my_images", 1000, 1024, 1024, 7,
    (BackgroundCount("texture", 400, 1200, 0.0001, 0.0012, 0.0499),
     BackgroundCount("all", 1000, 3456, 0.0001, 0.0015, 0.05)),
    "my_images/index.csv", "my_images/sheet.png", 40,
)  # fmt: skip

FILTERED = FilterReport(
    "sets", "tiny", FilterOptions(),
    (SetCount("DUTS-TE", "i", "m", 5019, 402, 4600, 0, 12, 5, 3, 2, 0.031),
     SetCount("all", "", "", 5019, 402, 4600, 0, 12, 5, 3, 2, 0.031)),
    ("'a.jpg': cannot be read",), ("sets/b",), "tiny/index.csv", "tiny/sheet.png", 40,
)  # fmt: skip

REPORTS = {
    "prune": PRUNED,
    "dry_run": BARE,
    "sweep": SWEPT,
    "validate": VALIDATED,
    "bench": BenchReports((BENCHED,)),
    "finetune": TUNED,
    "inspect": INSPECTED,
    "export": ExportReport("models.small_unet:small_unet", "small_unet.onnx", 660_105, 1.7e-6, 20,
                           2_640_000, 12.3, "all of 'best.pt'", ("torch warned of something",)),
    "cache": CacheReport("/home/somebody/.cache/wrg-onnx", 27, 560 << 20, 2 << 30, 3, 1 << 20),
    "report": PageReport("both.html", ("run.json", "other.json"), 1_050_000),
    "tsod_make": MADE,
    "tsod_filter": FILTERED,
}  # fmt: skip
each_report = pytest.mark.parametrize("report", REPORTS)
each_width = pytest.mark.parametrize("columns", [40, 80])


@each_report
@each_width
def test_text_is_as_recorded(report, columns, golden):
    golden(f"text_{report}_{columns}.txt", to_text(REPORTS[report], columns) + "\n")


@each_report
@pytest.mark.parametrize("columns", [30, 40, 80])
def test_no_line_is_too_long_and_no_number_is_torn_from_its_unit(report, columns):
    lines = to_text(REPORTS[report], columns).splitlines()
    # But for commands, which are copied.
    assert max(len(line) for line in lines if not line.startswith("  wrg-onnx ")) <= columns
    for line, below in pairwise(lines):
        torn = re.search(r"\d$", line) and re.match(r"(?:%|ms|s|[KMG](?:i?B)?)(?![\w/])", below)
        assert not torn, (line, below)


@each_report
def test_a_narrow_terminal_is_told_all_that_a_usual_one_is(report):
    figures = [
        set(re.findall(r"\d[\d.,]*\d|\d", to_text(REPORTS[report], columns)))
        for columns in (40, 120)
    ]
    assert figures[0] == figures[1]


def test_a_number_stays_with_its_unit_wherever_the_line_ends():
    found = {
        to_text(CacheReport("c" * length, 1, 5, 2 << 30), 30).splitlines()[-1]
        for length in range(1, 30)
    }
    assert all("2.0 GiB" in line for line in found)
