"""The picture of a sweep: well-formed, within its frame, and with what it must show."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from wrg_onnx.errors import OutputError
from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.latency import Latency, Noise, Ratio, Speed
from wrg_onnx.report.from_plain import from_plain
from wrg_onnx.report.plot import HEIGHT, WIDTH, draw_plot, write_plot
from wrg_onnx.report.sweep import SweepCut, SweepPoint, SweepReport

SPEED = Speed(
    "cpu", Latency(4.0, 5.0, 4.0, 9), Latency(2.0, 3.0, 2.0, 9), Ratio(2.0, 1.9, 2.1),
    Noise(None, 1.2),
)  # fmt: skip


def point(criterion, reached, after, *, knee=False, sure=True, speed=(SPEED,)):
    low, high = (after - 0.95, after - 0.85) if sure else (None, None)
    change = Change("max F", 0.9, after, 0.9 - after, low, high, 40)
    cut = SweepCut(reached, Cost(10, 20, None), change, Accuracy("d", None, None, ()), speed,
                   1e-7, 1e-4, 3, 1.0, 2.0)  # fmt: skip
    return SweepPoint(criterion, reached, "wrg-onnx prune", cut, knee=knee)


def report(*points):
    return SweepReport("a&b.onnx", "params", Cost(1000, 2000, None), "max F", True, "ridge",
                       "32 images", "40 <images>", points)  # fmt: skip


TWO = report(
    point("sel", 0.3, 0.89), point("sel", 0.6, 0.87, knee=True), point("sel", 0.9, 0.2),
    point("l1", 0.3, 0.8), point("l1", 0.6, 0.7),
    SweepPoint("l1", 0.9, "wrg-onnx prune", None, "cannot remove 90 %"),
)  # fmt: skip


def parts(text, tag):
    return ET.fromstring(text).iter(f"{{http://www.w3.org/2000/svg}}{tag}")  # noqa: S314


def said(text):
    return [part.text for part in parts(text, "text")]


def test_each_criterion_has_a_curve_in_each_panel_and_the_knee_is_named():
    text = draw_plot(TWO)
    assert len(list(parts(text, "polyline"))) == 4
    assert said(text).count("knee") == 1
    assert {"sel", "l1", "original", "max F", "latency (original = 1)"} <= {*said(text)}
    assert "40 <images>; bars are 95 % intervals" in said(text)
    assert "a&b.onnx, 1.00 K parameters" in said(text)


def test_all_lies_within_the_frame():
    text = draw_plot(TWO)
    for x, y in re.findall(r"([\d.-]+),([\d.-]+)", " ".join(
        part.get("points") for part in parts(text, "polyline")
    )):  # fmt: skip
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT


def test_without_latency_or_intervals_there_is_one_panel_without_bars():
    text = draw_plot(report(point("l1", 0.5, 0.7, sure=False, speed=())))
    assert len(list(parts(text, "polyline"))) == 1
    assert "latency (original = 1)" not in said(text)
    assert "40 <images>" in said(text)


def test_what_is_infinite_or_even_is_drawn_all_the_same():
    assert draw_plot(report(point("l1", 0.5, float("inf"), sure=False)))
    assert draw_plot(report(point("l1", 0.0, 0.9, sure=False)))


def test_the_file_appears_in_its_folder(tmp_path):
    write_plot(TWO, tmp_path / "new" / "a.svg")
    assert (tmp_path / "new" / "a.svg").read_text(encoding="utf-8") == draw_plot(TWO)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_plot(TWO, tmp_path / "file" / "a.svg")


@pytest.mark.parametrize(
    "plain",
    [
        None,
        {},
        {"median_ms": 1.0},
        {"median_ms": "1", "p95_ms": 1, "mean_ms": 1, "runs": 1},
        {"median_ms": 1.0, "p95_ms": 1.0, "mean_ms": 1.0, "runs": True},
    ],
)
def test_a_record_is_not_made_of_something_else(plain):
    with pytest.raises(ValueError, match="Latency"):
        from_plain(Latency, plain)
