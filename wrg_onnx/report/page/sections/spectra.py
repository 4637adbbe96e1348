"""How many directions the feature maps of a layer have: their singular values."""

from __future__ import annotations

from markupsafe import Markup

from wrg_onnx.report.details import Details, Spectrum
from wrg_onnx.report.page.charts import Side, columns_of, curves
from wrg_onnx.report.page.parts import (
    Cell,
    Figure,
    Legend,
    Section,
    Table,
    left_out,
    missing,
    most_of,
)
from wrg_onnx.report.page.plots.lines import Axis, Curve, Point, plane
from wrg_onnx.report.page.plots.rows import spark
from wrg_onnx.report.scale import LogScale

ACROSS, UP = "share of the singular values", "singular value, over the largest"

LEAST = 1e-4
"""Of the largest singular value: what is smaller is drawn there."""

OVERLAID = 7
"""So many spectra are drawn in one plane: from the lowest rank to the highest, evenly."""


def spectra(details: Details | None) -> Section:
    """Draw the singular values of feature maps, layer by layer."""
    name, title = "spectra", "Rank spectra"
    if details is None or not details.spectra:
        return missing(
            name, title,
            "The ranks of feature maps were not measured in this run: its criterion does not ask "
            "for R.",
        )  # fmt: skip
    found = details.spectra
    rows = tuple(map(_row, most_of(found, [one.size for one in found])))
    more = left_out(len(found) + details.spectra_left, "layers")
    titles = ("layer", "spectrum", "rank", "values", "maps", "images")
    table = Table("Spectrum of each layer", titles, rows, frozenset({1}), more=more)
    shown = _chosen(found)
    figure = Figure(
        "spectra-drawn", f"Singular values of {len(shown)} layers, by their rank", _plane(shown),
        "Means over maps, on an axis of logarithms. A curve that falls at once is of a layer whose "
        "maps have few directions; the rank, over the most it could be, counts those that float32 "
        "tells from nothing.",
        Legend(tuple((f"curve-{1 + number}", one.layer) for number, one in enumerate(shown))),
        _chart(found), table,
    )  # fmt: skip
    return Section(name, title, (figure,))


def _row(one: Spectrum) -> tuple[Cell, ...]:
    label = f"singular values of {one.layer}, falling from 1 to {one.values[-1]:.2g}"
    drawn = spark(one.values, LogScale(LEAST, 1), label)
    counts = (f"{count:,}" for count in (one.size, one.maps, one.images))
    return (one.layer, drawn, f"{one.rank:.2f}", *counts)


def _chosen(found: tuple[Spectrum, ...]) -> list[Spectrum]:
    ordered = sorted(found, key=lambda one: one.rank)
    last, count = len(ordered) - 1, min(OVERLAID, len(ordered))
    places = {round(number * last / max(count - 1, 1)) for number in range(count)}
    return [ordered[place] for place in sorted(places)]


def _plane(shown: list[Spectrum]) -> Markup:
    drawn = [
        Curve(one.layer, tuple(_points(one)), f"curve-{1 + number}", is_dotted=False)
        for number, one in enumerate(shown)
    ]
    label = f"Singular values over the largest, of {len(shown)} layers"
    across = Axis(ACROSS, 0, 1, "{:.0%}".format)
    return plane(drawn, across, Axis(UP, LEAST, 1, "{:g}".format, is_log=True), label)


def _points(one: Spectrum) -> list[Point]:
    last = max(len(one.values) - 1, 1)
    return [Point(place / last, value) for place, value in enumerate(one.values)]


def _chart(found: tuple[Spectrum, ...]) -> Markup:
    rows = [
        (one.layer, round(point.x, 4), max(point.y, LEAST), one.rank)
        for one in found
        for point in _points(one)
    ]
    columns = columns_of(("curve", "x", "y", "rank"), rows)
    return curves(columns, Side(ACROSS, ".0%"), Side(UP, is_log=True), {"rank": "rank"})
