"""The page of two prunings, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from wrg_onnx.errors import UsageError
from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.image_values import paired_changes
from wrg_onnx.report.comparison import compare
from wrg_onnx.report.page.charts import own_names
from wrg_onnx.report.page.parts import (
    Cell,
    Figure,
    Head,
    Legend,
    Page,
    Section,
    Table,
    Text,
    drawn_of,
    listed,
    missing,
    most_of,
)
from wrg_onnx.report.page.plots.rows import axis, two_bars
from wrg_onnx.report.page.render import render
from wrg_onnx.report.page.sections.headline import headline, lead
from wrg_onnx.report.page.sections.provenance import facts_of
from wrg_onnx.report.proof import proof_text
from wrg_onnx.report.records import GroupReport, PruneReport
from wrg_onnx.report.rows import Row, cost_rows
from wrg_onnx.report.scale import Scale
from wrg_onnx.report.search import INTERVAL, interval, short, signed
from wrg_onnx.report.shown import shown
from wrg_onnx.report.unfinished import unfinished_lines

WIDTH_TITLES = ("layer width", "of", "run 1", "run 2")
"""Of the columns of layers that are not drawn."""

Pair = tuple[PruneReport, PruneReport]


def to_html_of_two(first: object, second: object) -> str:
    """Return the page of two prunings, side by side.

    Args:
        first: The report of a pruning.
        second: That of another one, as of the same model with other options.

    Raises:
        UsageError: If one is no report of a pruning.
    """
    pair = []
    for report in (first, second):
        if not isinstance(report, PruneReport):
            raise UsageError(
                f"two runs of prune stand side by side, got a {type(report).__name__}: write its "
                "page alone"
            )
        pair.append(shown(report))
    return render(_page((pair[0], pair[1])))


def _page(pair: Pair) -> Page:
    first, second = pair
    names = [Path(one.model).name or one.model for one in pair]
    title = names[0] if names[0] == names[1] else f"{names[0]} and {names[1]}"
    tiles = (
        replace(tile, label=f"run {number}: {tile.label}")
        for number, report in enumerate(pair, start=1)
        for tile in headline(report)
    )
    alerts = (
        f"Run {number}: {line}"
        for number, report in enumerate(pair, start=1)
        for line in unfinished_lines(report.unfinished)
    )
    return Page(
        title=f"{title}: two runs",
        lead=f"Run 1: {lead(first)} Run 2: {lead(second)}",
        tiles=tuple(tiles),
        alerts=tuple(alerts),
        sections=(
            _side_by_side(pair),
            _paired(pair),
            _layers(pair),
            _said(pair),
            _provenance(pair),
        ),
    )


def _side_by_side(pair: Pair) -> Section:
    rows = [_rows(report) for report in pair]
    names = dict.fromkeys(name for found in rows for name in found)
    empty = ("", "", "")
    cells = tuple((name, *rows[0].get(name, empty), *rows[1].get(name, empty)) for name in names)
    titles = ("", "before 1", "after 1", "change 1", "before 2", "after 2", "change 2")
    table = Table("Cost, latency and accuracy of both runs", titles, cells)
    return Section("side-by-side", "Side by side", (table,))


def _paired(pair: Pair) -> Section:
    """Hold both pruned models against each other where they were judged on the same images."""
    name, title = "paired", "Run 2 against run 1"
    why = _not_paired(pair)
    if why:
        return missing(name, title, why)
    changes = _changes(pair)
    rows = tuple(
        (one.metric, short(one.before), short(one.after), signed(one.change), interval(one))
        for one in changes
    )
    table = Table("Metrics on the same images", ("", "run 1", "run 2", "differs", INTERVAL), rows)
    said = (
        f"Both were judged on the same {changes[0].images} images, so that each image has a "
        "difference of its own. An interval that holds 0 means that these images do not tell the "
        "runs apart."
    )
    return Section(name, title, (table, Text(said)))


def _changes(pair: Pair) -> tuple[Change, ...]:
    first, second = (None if one.details is None else one.details.images for one in pair)
    return () if first is None or second is None else tuple(paired_changes(first, second))


def _not_paired(pair: Pair) -> str:
    """Say why nothing is known of single images; nothing where it is."""
    for number, report in enumerate(pair, start=1):
        if report.accuracy is None:
            return f"Run {number} did not judge its model."
        if report.details is None or report.details.images is None:
            return (
                f"Run {number} did not keep what its model had on each image (--details does), so "
                "that nobody can tell whether both were judged on the same."
            )
        if not report.details.images.values:
            return f"Run {number} had no masks, or its model no saliency map: no metric was taken."
    if not _changes(pair):
        return (
            "The runs were judged on other images, or on the same prepared otherwise: how the "
            "figures of the one differ from those of the other may be chance."
        )
    return ""


def _rows(report: PruneReport) -> Mapping[str, Row]:
    """Return before, after and change of each row of the terminal's table, by its name."""
    found = compare(cost_rows(report.before, report.after), report.accuracy, report.speed)
    return {name: (cells[0], cells[-2], cells[-1]) for name, *cells in found.rows}


def _layers(pair: Pair) -> Section:
    name, title = "layers", "Layers"
    first, second = map(_by_name, pair)
    both = [one for one in first if one in second]
    if not both:
        return missing(name, title, "The runs have no layer width of the same name.")
    chosen = most_of(both, [first[one].units * first[one].parameters for one in both])
    scale = Scale(0, 1)
    rows: tuple[tuple[Cell, ...], ...] = tuple(_row(first[one], second[one], one, scale)
                                               for one in chosen)  # fmt: skip
    every = [(one, *_figures(first[one], second[one])) for one in both]
    head = Head("stays", axis(scale, "{:.0%}".format, "share that stays"))
    drawn = Table(
        "Channels that stay", (WIDTH_TITLES[0], head, *WIDTH_TITLES[1:]), rows, frozenset({1}),
        more=drawn_of(len(both), "layer widths", "that hold most parameters"),
    )  # fmt: skip
    figure = Figure(
        "layers-drawn", "What is left of each layer", drawn, "",
        Legend((("before", "run 1"), ("after", "run 2"))),
        table=listed(WIDTH_TITLES, every, "layer widths"),
    )  # fmt: skip
    return Section(name, title, (figure,))


def _by_name(report: PruneReport) -> Mapping[str, GroupReport]:
    names = own_names([one.name for one in report.groups])
    return dict(zip(names, report.groups, strict=True))


def _row(first: GroupReport, second: GroupReport, name: str, scale: Scale) -> tuple[Cell, ...]:
    shares = [one.kept / max(one.units, 1) for one in (first, second)]
    label = f"{shares[0]:.0%} in run 1, {shares[1]:.0%} in run 2"
    drawn = two_bars(shares[0], shares[1], scale, label)
    return name, drawn, *_figures(first, second)


def _figures(first: GroupReport, second: GroupReport) -> tuple[str, ...]:
    return f"{first.units:,}", f"{first.kept:,}", f"{second.kept:,}"


def _said(pair: Pair) -> Section:
    parts = []
    for number, report in enumerate(pair, start=1):
        parts.append(Text(f"Run {number}. {proof_text(report)}"))
        parts += [Text(f"Run {number}: {note}.", "note") for note in report.notes]
    return Section("said", "Proof and notes", tuple(parts))


def _provenance(pair: Pair) -> Section:
    facts = [dict(_told(report)) for report in pair]
    names = dict.fromkeys(name for found in facts for name in found)
    rows = tuple((name, facts[0].get(name, "-"), facts[1].get(name, "-")) for name in names)
    table = Table("What was run, where, and on what", ("", "run 1", "run 2"), rows,
                  words=frozenset({1, 2}))  # fmt: skip
    return Section("provenance", "Where this comes from", (table,))


def _told(report: PruneReport) -> Iterator[tuple[str, str]]:
    yield "criterion", report.criterion
    yield "budget", report.budget
    yield "scope", report.scope
    yield "asked for", f"{report.ratio:.1%}"
    yield from facts_of(report)
