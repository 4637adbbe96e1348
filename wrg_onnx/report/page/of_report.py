"""Which sections the page of a report has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wrg_onnx.errors import UsageError
from wrg_onnx.report.page.parts import Page, Tile
from wrg_onnx.report.page.render import render
from wrg_onnx.report.page.sections.before_after import before_and_after, compared, metrics
from wrg_onnx.report.page.sections.curve import searched, swept
from wrg_onnx.report.page.sections.factors import factors
from wrg_onnx.report.page.sections.headline import (
    headline,
    lead,
    quality,
    speed_tiles,
    validation_lead,
)
from wrg_onnx.report.page.sections.images import images
from wrg_onnx.report.page.sections.layers import layers
from wrg_onnx.report.page.sections.provenance import provenance, validated_from
from wrg_onnx.report.page.sections.recovered import recovered
from wrg_onnx.report.page.sections.spectra import spectra
from wrg_onnx.report.page.sections.structure import structure
from wrg_onnx.report.page.sections.timed import timed
from wrg_onnx.report.records import PruneReport, ValidateReport
from wrg_onnx.report.rows import percent_change, short_count
from wrg_onnx.report.search import short
from wrg_onnx.report.shown import shown
from wrg_onnx.report.sweep import SweepReport
from wrg_onnx.report.unfinished import unfinished_lines


def to_html(report: object) -> str:
    """Return the page of a report: one HTML file that needs nothing beside it.

    Args:
        report: Of a pruning, a sweep or a validation.

    Raises:
        UsageError: If it is another one, which has no page.
    """
    made = _PAGES.get(type(report))
    if made is None:
        kinds = ", ".join(kind.__name__ for kind in _PAGES)
        raise UsageError(f"a page is made of {kinds}, got {type(report).__name__}")
    return render(made(shown(report)))


def _prune_page(report: PruneReport) -> Page:
    details = report.details
    return Page(
        title=Path(report.model).name or report.model,
        lead=lead(report),
        tiles=headline(report),
        alerts=tuple(unfinished_lines(report.unfinished)),
        sections=(
            before_and_after(report),
            metrics(report.accuracy, report.changes),
            images(details),
            layers(report),
            factors(details, report.criterion),
            spectra(details),
            recovered(report.recovery),
            searched(report),
            timed(details),
            structure(details),
            provenance(report),
        ),
    )


def _validate_page(report: ValidateReport) -> Page:
    return Page(
        title=f"{Path(report.pruned).name} against {Path(report.original).name}",
        lead=validation_lead(report),
        tiles=(_parameters(report), *quality(report), *speed_tiles(report.speed)),
        alerts=tuple(f"{problem}." for problem in report.problems),
        sections=(
            compared(report),
            metrics(report.accuracy, report.changes),
            validated_from(report),
        ),
    )


def _parameters(report: ValidateReport) -> Tile:
    before, after = report.before.parameters, report.after.parameters
    note = f"{short_count(before)} → {short_count(after)}"
    return Tile("parameters", percent_change(before, after) or "-", note)


def _sweep_page(report: SweepReport) -> Page:
    made = [point for point in report.points if point.cut is not None]
    knees = [point for point in made if point.knee]
    tiles = [Tile("cuts", f"{len(made)} of {len(report.points)}", "proven, recovered and judged")]
    for point in knees:
        assert point.cut is not None
        change = point.cut.change
        note = f"{change.metric} {short(change.before)} → {short(change.after)}"
        tiles.append(Tile(f"knee of '{point.criterion}'", f"{point.cut.reached:.1%}", note))
    curves = len({point.criterion for point in made})
    said = f"{len(knees)} of {curves} curves {'has' if len(knees) == 1 else 'have'} a knee"
    return Page(
        title=Path(report.model).name or report.model,
        lead=f"{len(made)} cuts, judged on {report.judged}. {said}.",
        tiles=tuple(tiles),
        alerts=(),
        sections=swept(report),
    )


_PAGES: Mapping[type, Callable[[Any], Page]] = {
    PruneReport: _prune_page,
    SweepReport: _sweep_page,
    ValidateReport: _validate_page,
}
