"""How many directions the feature maps of a layer have: their singular values."""

from __future__ import annotations

from markupsafe import Markup

from wrg_onnx.report.details import Details, Spectrum
from wrg_onnx.report.page.charts import columns_of, curves
from wrg_onnx.report.page.parts import Cell, Figure, Section, Table, first_rows, missing
from wrg_onnx.report.page.plots.lines import Axis, Curve, Point, plane
from wrg_onnx.report.page.plots.rows import spark

ACROSS, UP = "share of the singular values", "over the largest"

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
    rows, more = first_rows([_row(one) for one in found], "layers")
    if details.spectra_left:
        more = f"{more} The run has {details.spectra_left:,} further layers with ranks.".strip()
    titles: tuple[Cell, ...] = ("layer", "spectrum", "R", "of", "maps", "images")
    table = Table("Spectrum of each layer", titles, rows, frozenset({1}), more=more)
    shown = _chosen(found)
    figure = Figure(
        "spectra-drawn", f"Singular values of {len(shown)} layers, by their rank", _plane(shown),
        "Means over maps. A curve that falls at once is of a layer whose maps are nearly of one "
        "direction: such a layer carries little, and its R is low.",
        None, _chart(found), table,
    )  # fmt: skip
    return Section(name, title, (figure,))


def _row(one: Spectrum) -> tuple[Cell, ...]:
    label = f"singular values of {one.layer}, falling from 1 to {one.values[-1]:.2g}"
    return (
        one.layer, spark(one.values, label), f"{one.rank:.2f}", f"{one.size:,}", f"{one.maps:,}",
        f"{one.images:,}",
    )  # fmt: skip


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
    return plane(drawn, Axis(ACROSS, 0, 1, "{:.0%}".format), Axis(UP, 0, 1, "{:g}".format), label)


def _points(one: Spectrum) -> list[Point]:
    last = max(len(one.values) - 1, 1)
    return [Point(place / last, value) for place, value in enumerate(one.values)]


def _chart(found: tuple[Spectrum, ...]) -> Markup:
    rows = [
        (one.layer, round(point.x, 4), point.y, one.rank) for one in found for point in _points(one)
    ]
    return curves(columns_of(("curve", "x", "y", "rank"), rows), ACROSS, UP, {"rank": "R"})
