"""Charts for Vega-Lite: what a still drawing shows, to be zoomed into and pointed at.

A chart is ``{"columns": ..., "spec": ...}``: columns of equal lengths, which the page's script lays
out as rows, and a specification without data. A colour ``tone:kept`` is the style sheet's, in the
theme that is on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wrg_onnx.report.page.embedded import embedded

Columns = Mapping[str, Sequence[Any]]

ROW = 20
"""Pixels of a layer."""

ZOOM = {"name": "zoom", "select": "interval", "bind": "scales"}
ZOOM_ACROSS = {**ZOOM, "select": {"type": "interval", "encodings": ["x"]}}


def layer_bars(columns: Columns, tones: Mapping[str, str], title: str) -> Markup:
    """Return stacked bars of layers.

    Args:
        columns: ``layer``, ``part`` and ``value``.
        tones: The tone of each part.
        title: Of the axis.
    """
    encoding = {
        "y": _layers(),
        "x": {"field": "value", "type": "quantitative", "title": title, "stack": "zero"},
        "color": _tones("part", tones),
        "tooltip": _told(layer="layer", part="part", value=title),
    }
    return _chart(columns, mark="bar", height=_height(columns), encoding=encoding)


def beside_bars(columns: Columns, tones: Mapping[str, str], title: str) -> Markup:
    """Return bars side by side; columns and arguments as of ``layer_bars``."""
    encoding = {
        "y": _layers(),
        "yOffset": {"field": "part", "sort": list(tones)},
        "x": {"field": "value", "type": "quantitative", "title": title},
        "color": _tones("part", tones),
        "tooltip": _told(layer="layer", part="part", value=title),
    }
    return _chart(columns, mark="bar", height=_height(columns), encoding=encoding)


def layer_ticks(
    columns: Columns, tones: Mapping[str, str], title: str, told: Mapping[str, str], *, is_log: bool
) -> Markup:
    """Return a tick for each unit of each layer.

    Args:
        columns: ``layer``, ``part`` and ``value``, and what is told.
        tones: The tone of each part.
        title: Of the axis.
        told: What else is told where one points: column and title.
        is_log: Whether the axis is of logarithms.
    """
    encoding = {
        "y": _layers(),
        "x": _measured("value", title, is_log=is_log),
        "color": _tones("part", tones),
        "tooltip": _told(layer="layer", part="part", value=title, **told),
    }
    mark = {"type": "tick", "thickness": 1.5}
    return _chart(
        columns, mark=mark, height=_height(columns), encoding=encoding, params=[ZOOM_ACROSS]
    )


def layer_points(columns: Columns, tones: Mapping[str, str], title: str) -> Markup:
    """Return points of layers on an axis of logarithms; columns as of ``layer_bars``."""
    encoding = {
        "y": _layers(),
        "x": _measured("value", title, is_log=True),
        "color": _tones("part", tones),
        "tooltip": _told(layer="layer", part="part", value=title),
    }
    mark = {"type": "point", "filled": True, "size": 60}
    return _chart(
        columns, mark=mark, height=_height(columns), encoding=encoding, params=[ZOOM_ACROSS]
    )


@dataclass(frozen=True, slots=True)
class Side:
    """One axis of a plane.

    Attributes:
        title: What it measures.
        shown: How D3 writes its numbers; None as usual.
        is_log: Whether it is of logarithms.
    """

    title: str
    shown: str | None = None
    is_log: bool = False


def curves(
    columns: Columns, x: Side, y: Side, told: Mapping[str, str], *, has_ends: bool = False
) -> Markup:
    """Return curves with their points.

    Args:
        columns: ``curve``, ``x`` and ``y``, and what is told; with whiskers ``low`` and ``high``.
        x: The axis below.
        y: The upright one.
        told: What else is told where one points: column and title.
        has_ends: Whether there are whiskers.
    """
    across, up = _side("x", x), _side("y", y)
    # In the order of the rows, as the legend of the still drawing.
    colour = {"field": "curve", "type": "nominal", "title": None, "sort": None,
              "legend": {"orient": "top"}}  # fmt: skip
    layers: list[dict[str, Any]] = []
    if has_ends:
        ends = {"y": {**up, "field": "low"}, "y2": {"field": "high"}}
        layers.append({"mark": {"type": "rule", "opacity": 0.5}, "encoding": ends})
    line = {"type": "line", "point": {"size": 50, "filled": True}, "strokeWidth": 1.5}
    tooltip = _told(curve="curve", x=x.title, y=y.title, **told)
    layers.append({"mark": line, "encoding": {"y": up, "tooltip": tooltip}, "params": [ZOOM]})
    return _chart(columns, height=320, layer=layers, encoding={"x": across, "color": colour})


def _side(field: str, side: Side) -> dict[str, Any]:
    found = _measured(field, side.title, is_log=side.is_log, is_from_zero=field == "x")
    return found if side.shown is None else {**found, "axis": {"format": side.shown}}


def _chart(columns: Columns, **spec: Any) -> Markup:
    return embedded({"columns": columns, "spec": {"width": "container", **spec}})


def _height(columns: Columns) -> int:
    return ROW * max(1, len(set(columns["layer"])))


def _layers() -> dict[str, Any]:
    return {"field": "layer", "type": "nominal", "sort": None, "title": None}


def _measured(
    field: str, title: str, *, is_log: bool = False, is_from_zero: bool = True
) -> dict[str, Any]:
    scale = {"type": "log"} if is_log else {"zero": is_from_zero}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale}


def _tones(field: str, tones: Mapping[str, str]) -> dict[str, Any]:
    colours = [f"tone:{tone}" for tone in tones.values()]
    scale = {"domain": list(tones), "range": colours}
    return {"field": field, "type": "nominal", "title": None, "scale": scale,
            "legend": {"orient": "top"}}  # fmt: skip


def _told(**titles: str) -> list[dict[str, str]]:
    return [{"field": field, "title": title} for field, title in titles.items()]


def own_names(names: Sequence[str]) -> list[str]:
    """Return names that tell rows apart: those that are there again are numbered."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        found.append(name if counts[name] == 1 else f"{name} ({counts[name]})")
    return found


def columns_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Columns:
    """Return rows as columns."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return dict(zip(names, columns or [[] for _ in names], strict=True))
