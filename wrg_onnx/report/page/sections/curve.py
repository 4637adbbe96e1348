"""How a metric falls with what is removed: of a sweep, or of the search for the largest cut."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.report.budget import QUANTITY_WORDS
from wrg_onnx.report.page.charts import Side, columns_of, curves
from wrg_onnx.report.page.parts import Code, Figure, Legend, Part, Section, Table, Text, missing
from wrg_onnx.report.page.plots.lines import Axis, Curve, Point, plane
from wrg_onnx.report.records import PruneReport
from wrg_onnx.report.search import (
    answer_text,
    search_rows,
    search_titles,
    tried_text,
)
from wrg_onnx.report.sweep import (
    LATENCY_TEXT,
    SweepReport,
    knees,
    made_text,
    problem_lines,
    rival_rows,
    rival_text,
    rival_titles,
    sweep_rows,
    sweep_titles,
)

COLOURS = 7
"""So many curves have colours of their own."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """A cut that was judged."""

    curve: str
    reached: float
    change: Change
    is_marked: bool


def searched(report: PruneReport) -> Section:
    """Draw the cuts that a search tried."""
    name, title = "curve", "How far it can go"
    search = report.search
    if search is None:
        return missing(
            name, title,
            "This run made one cut. wrg-onnx sweep draws the curve, prune --max-drop searches "
            "for the largest cut.",
        )  # fmt: skip
    cuts = [
        _Cut(kind, one.reached, _from_zero(one.change), kind == "check" and one is search.answer)
        for kind, tried in (("probe", search.probes), ("check", search.checks))
        for one in tried
        if one.change is not None
    ]
    table = Table("Cuts that were tried", search_titles(search), tuple(search_rows(search)))
    parts: list[Part] = [Text(answer_text(search, report.budget))]
    if cuts:
        removed = f"{QUANTITY_WORDS[report.budget]} removed"
        title = f"change of {search.metric}"
        parts.append(_figure(cuts, title, removed, table, "The answer has a ring."))
    parts += [Text(tried_text(search)), Code("The same cut again:", search.command)]
    return Section(name, title, tuple(parts))


def _from_zero(change: Change) -> Change:
    """Return a change alone: probes and checks are of other images, and so is their original."""
    return replace(change, before=0.0, after=change.change)


def swept(report: SweepReport) -> tuple[Section, Section]:
    """Draw the points of a sweep, and list them with what makes them."""
    cuts = [
        _Cut(point.criterion, point.cut.reached, point.cut.change, point.knee)
        for point in report.points
        if point.cut is not None
    ]
    removed = f"{QUANTITY_WORDS[report.budget]} removed"
    titles, rows = sweep_titles(report), tuple(sweep_rows(report))
    table = Table("All cuts", titles, rows, words=frozenset({len(titles) - 1}))
    knee = "A ring is the knee of a criterion." if any(cut.is_marked for cut in cuts) else ""
    parts: list[Part] = [Text(f"{made_text(report)}.")]
    parts += [_figure(cuts, report.metric, removed, table, knee)] if cuts else [table]
    parts += [
        Text(LATENCY_TEXT, "quiet"),
        *_rivals(report),
        *_latency(report, removed),
        *(Text(line, "alert") for line in problem_lines(report)),
    ]
    commands = [Code(where, command) for where, command in knees(report)]
    notes = [Text(f"Note: {note}.", "note") for note in report.notes]
    return (
        Section("curve", "How far it can go", tuple(parts)),
        Section("commands", "Which cut to make", (*commands, *notes)),
    )


def _rivals(report: SweepReport) -> Iterator[Part]:
    """Yield criteria side by side on the same images, and what to make of that."""
    said, rows = rival_text(report), tuple(rival_rows(report))
    if said:
        yield Text(said)
    if rows:
        yield Table("Criteria on the same images", rival_titles(report), rows)


def _figure(cuts: Sequence[_Cut], metric: str, removed: str, table: Table, caption: str) -> Figure:
    names = list(dict.fromkeys(cut.curve for cut in cuts))
    tones = {name: f"curve-{1 + number % COLOURS}" for number, name in enumerate(names)}
    has_ends = any(cut.change.low is not None for cut in cuts)
    said = f"{caption} Upright lines are 95 % intervals." if has_ends else caption
    rows = [
        (cut.curve, round(cut.reached, 5), cut.change.after, *_ends(cut.change))
        for cut in cuts
        if math.isfinite(cut.change.after)
    ]
    chart = curves(
        columns_of(("curve", "x", "y", "low", "high"), rows), Side(removed, ".0%"), Side(metric),
        {"low": "low", "high": "high"} if has_ends else {}, has_ends=has_ends,
    )  # fmt: skip
    return Figure(
        "curve-drawn", f"{metric} by {removed}", _plane(cuts, tones, metric, removed),
        f"The dashed line is the original. {said}".strip(),
        Legend(tuple((tone, name) for name, tone in tones.items())), chart, table,
    )  # fmt: skip


def _latency(report: SweepReport, removed: str) -> Iterator[Figure]:
    """Yield the time of each cut over the original's, where that was measured."""
    made = [
        (point.criterion, point.cut.reached, 1 / point.cut.speed[0].speedup.value)
        for point in report.points
        if point.cut is not None and point.cut.speed
    ]
    if not made:
        return
    names = list(dict.fromkeys(name for name, _, _ in made))
    drawn = [
        Curve(
            name,
            (Point(0.0, 1.0, is_dotted=False),
             *(Point(x, y) for one, x, y in made if one == name)),
            f"curve-{1 + number % COLOURS}",
        )
        for number, name in enumerate(names)
    ]  # fmt: skip
    title = "latency, over the original's"
    x = Axis(removed, 0, max(0.05, *(reached for _, reached, _ in made)), "{:.0%}".format)
    y = Axis(title, 0, 1.06 * max(1.0, *(share for *_, share in made)), "{:.2g}".format)
    label = f"latency of {len(made)} cuts over the original's, by the share of {removed}"
    yield Figure(
        "latency-drawn", f"Latency by {removed}", plane(drawn, x, y, label, reference=1.0),
        "The dashed line is the original.",
        Legend(tuple((curve.tone, curve.name) for curve in drawn)),
        curves(columns_of(("curve", "x", "y"), made), Side(removed, ".0%"), Side(title), {}),
    )  # fmt: skip


def _ends(change: Change) -> tuple[float | None, float | None]:
    if change.low is None or change.high is None or not math.isfinite(change.high):
        return None, None
    return change.before + change.low, change.before + change.high


def _plane(cuts: Sequence[_Cut], tones: dict[str, str], metric: str, removed: str) -> Markup:
    first = cuts[0].change.before
    values = [first, *(value for cut in cuts for value in _values(cut.change))]
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.01
    y = Axis(metric, low - room, high + room, "{:.3g}".format)
    x = Axis(removed, 0, max(0.05, *(cut.reached for cut in cuts)), "{:.0%}".format)
    drawn = [Curve(name, tuple(_points(cuts, name)), tone) for name, tone in tones.items()]
    label = f"{metric} of {len(cuts)} cuts, by the share of {removed}"
    return plane(drawn, x, y, label, height=260, reference=first)


def _values(change: Change) -> Iterator[float]:
    for value in (change.after, *_ends(change)):
        if value is not None and math.isfinite(value):
            yield value


def _points(cuts: Sequence[_Cut], name: str) -> Iterator[Point]:
    chosen = [cut for cut in cuts if cut.curve == name and math.isfinite(cut.change.after)]
    yield Point(0.0, cuts[0].change.before, is_dotted=False)
    for cut in sorted(chosen, key=lambda cut: cut.reached):
        low, high = _ends(cut.change)
        yield Point(cut.reached, cut.change.after, low, high, cut.is_marked)
