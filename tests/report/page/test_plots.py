"""Drawings lie within their frame, and say in words what they show."""

from __future__ import annotations

import re

import pytest
from paged import Read

from wrg_onnx.report.details import Structure, WidthEdge, WidthNode
from wrg_onnx.report.page.plots import rows
from wrg_onnx.report.page.plots.flow import MOST, WIDE, flow
from wrg_onnx.report.page.plots.lines import Axis, Curve, Point, plane
from wrg_onnx.report.scale import LogScale, Scale


def percents(text, *names):
    return [float(one) for name in names for one in re.findall(rf'\b{name}="([-\d.]+)%"', text)]


def test_pieces_of_a_bar_follow_each_other():
    found = rows.stacked_bar([(25, "kept"), (0, "held"), (75, "gone")], "1 kept, 3 removed")
    assert percents(found, "x") == [0, 25]
    assert percents(found, "width") == [100, 25, 75]
    assert [one.get("class") for one in Read(found).of("rect")] == ["kept", "gone"]
    assert Read(found).of("svg")[0]["aria-label"] == "1 kept, 3 removed"


def test_of_two_bars_one_may_be_missing():
    found = Read(rows.two_bars(None, 5.0, Scale(0, 10), "5 ms"))
    assert [one["class"] for one in found.of("rect")] == ["after"]
    assert found.of("rect")[0]["width"] == "50.00%"


def test_dots_are_joined_and_the_original_is_a_tick():
    found = rows.dots([(1.0, "before"), (0.25, "cut"), (0.5, "after")], Scale(0, 1), "x")
    read = Read(found)
    assert [one["class"] for one in read.of("circle")] == ["cut", "after"]
    assert [one["class"] for one in read.of("line")] == ["way", "before post"]
    assert percents(found, "x1") == [25, 100]


def test_a_single_dot_has_no_line():
    assert not Read(rows.dots([(1.0, "after"), (None, "cut")], Scale(0, 1), "x")).of("line")


def test_a_strip_has_a_tick_for_each_number():
    found = Read(rows.strip([1.0, 2.0], [0.5], Scale(0, 2), "x"))
    kept, gone = found.of("path")
    assert kept["d"] == "M500 1v7M1000 1v7"
    assert (gone["d"], gone["class"]) == ("M250 10v7", "marks gone")
    assert len(Read(rows.strip([], [0.5], Scale(0, 2), "x")).of("path")) == 1


def test_quantiles_are_a_line_a_box_and_the_median():
    found = rows.boxes((0.0, 1.0, 2.0, 3.0, 4.0), (), Scale(0, 4), "x")
    read = Read(found)
    assert len(read.of("rect")) == 1
    assert [one["class"] for one in read.of("line")] == ["marks kept", "median"]
    assert percents(found, "x1") == [0, 50]


@pytest.mark.parametrize("scale", [Scale(0, 1), Scale(-3, 250_000), LogScale(1e-5, 80)])
def test_ticks_of_an_axis_lie_on_it(scale):
    found = rows.axis(scale, "{:g}".format, "a title")
    places = percents(found, "x")
    assert 1 < len(places) <= 8
    assert all(0 <= place <= 100 for place in places)
    assert Read(found).of("svg")[0]["aria-label"] == "a title"


def test_what_is_less_than_a_logarithmic_axis_shows_lies_at_its_end():
    scale = LogScale(0.01, 100)
    assert [scale(value) for value in (0.0, -1.0, 0.01, 1.0, 100)] == [0, 0, 0, 50, 100]


def drawn(**changed):
    points = (Point(0, 0.2), Point(0.5, 0.9, 0.8, 1.0, is_marked=True))
    return plane(
        [Curve("a", points, "curve-1")], Axis("across", 0, 1, "{:.0%}".format),
        Axis("up", 0, 1, "{:g}".format), "a <label>", **changed,
    )  # fmt: skip


def test_a_plane_has_titles_points_whiskers_and_rings():
    read = Read(drawn(reference=0.5))
    assert {"across", "up", "60%"} <= set(read.words)
    assert len(read.of("circle")) == 3  # two points and a ring
    assert [one["class"] for one in read.of("line")].count("whisker curve-1") == 1
    assert [one["class"] for one in read.of("line")].count("reference") == 1
    assert read.of("svg")[0]["aria-label"] == "a <label>"


def test_curves_lie_within_the_plane():
    (way,) = Read(drawn()).of("polyline")
    for x, y in (pair.split(",") for pair in way["points"].split()):
        assert 0 <= float(x) <= 1000
        assert 0 <= float(y) <= 220 + 26


def nodes(count):
    return tuple(WidthNode(f"w{i}", 1, 8, 4, (f"w{i}",), 1) for i in range(count))


def places(structure):
    """Return the row of each box that is drawn, by the name in it."""
    read = Read(flow(structure, "a graph"))
    tops = [float(one["y"]) for one in read.of("rect") if one["class"] == "box"]
    names = [word for word in read.words if re.fullmatch(r"w\d+", word)]
    return dict(zip(names, tops, strict=True))


def test_a_width_is_below_those_that_it_is_made_of():
    found = places(
        Structure(nodes(4), (WidthEdge(0, 1, 1), WidthEdge(1, 3, 1), WidthEdge(2, 3, 1)))
    )
    assert found["w0"] < found["w1"] < found["w3"]
    assert found["w2"] == found["w1"]  # right above what is made of it


def test_a_loop_moves_nothing():
    found = places(
        Structure(nodes(2), (WidthEdge(0, 1, 1), WidthEdge(1, 0, 1), WidthEdge(1, 1, 1)))
    )
    assert found["w0"] < found["w1"]


def test_no_row_is_wider_than_a_page():
    read = Read(flow(Structure(nodes(23), ()), "a graph"))
    assert len(places(Structure(nodes(23), ()))) == 23
    assert float(read.of("svg")[0]["width"]) < (MOST + 1) * (WIDE + 20)
