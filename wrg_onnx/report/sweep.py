"""What a sweep found: many cuts of one model, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.image_values import ImageValues, paired_changes
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.latency import Speed
from wrg_onnx.report.budget import QUANTITY_WORDS
from wrg_onnx.report.origin import Origin
from wrg_onnx.report.rows import Row, short_count
from wrg_onnx.report.search import INTERVAL, interval, short, signed
from wrg_onnx.report.table_parts import command_line, table_of


@dataclass(frozen=True, slots=True)
class SweepCut:
    """What became of one cut.

    Attributes:
        reached: The share of the budget that went.
        cost: What is left costs.
        change: How the metric changed.
        accuracy: All metrics of the original and of what is left.
        speed: How fast it and the original are, by provider.
        error: The largest difference in the proof.
        tolerance: The largest one that would have passed.
        removed: How many units went.
        seconds: How long cutting, recovering and judging took.
        cpu_seconds: The CPU time of that.
        output: The file that was written; None if none was.
        images: What it had on each image; None in reports of versions that did not keep it.
    """

    reached: float
    cost: Cost
    change: Change
    accuracy: Accuracy
    speed: tuple[Speed, ...]
    error: float
    tolerance: float
    removed: int
    seconds: float
    cpu_seconds: float
    output: str | None = None
    images: ImageValues | None = None


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One ratio by one criterion.

    Attributes:
        criterion: The formula of the scores.
        ratio: The share that was asked for.
        command: What makes this model again.
        cut: What became of it; None if there is a problem.
        problem: Why there is none; empty if there is one.
        exit_code: What the command of the point would end with.
        kept: Whether an earlier run made it.
        knee: Whether it is the last one of its criterion before the metric falls.
    """

    criterion: str
    ratio: float
    command: str
    cut: SweepCut | None
    problem: str = ""
    exit_code: int = 0
    kept: bool = False
    knee: bool = False


@dataclass(frozen=True, slots=True)
class SweepReport:
    """How small a model gets, and what that costs.

    Attributes:
        model: The original file.
        budget: The quantity that ratios speak of.
        before: What the original costs.
        metric: The title of the metric that is shown.
        falls: Whether lower is worse.
        recovery: How weights were recovered.
        calibration: What statistics and recovery were taken from.
        judged: What the points were judged on.
        points: Every criterion's points, by ratio.
        plot: The picture that was written; None if none was.
        notes: What a user should know.
        seconds: Time by stage.
        cpu_seconds: CPU time by stage.
        config: Every option of the run by its name in Python, defaults included, as it was given.
        origin: What made this report.
        sha256: That of each file of the model, by its path.
        page: The HTML page that was written; None if none was.
    """

    model: str
    budget: str
    before: Cost
    metric: str
    falls: bool
    recovery: str
    calibration: str
    judged: str
    points: tuple[SweepPoint, ...]
    plot: str | None = None
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    page: str | None = None


def sweep_text(report: SweepReport) -> RenderableType:
    """Show all points, the knees, and how to make one."""
    lines: list[RenderableType] = [
        Text(report.model, "bold"),
        Text(made_text(report)),
        _table(report),
        Text(LATENCY_TEXT),
        *_against_first(report),
        *(Text(line, "red") for line in problem_lines(report)),
        *(
            line
            for where, command in knees(report)
            for line in (Text(where), command_line(command))
        ),
        Text("--json has the command of every point; they differ in ratio and criterion alone."),
    ]
    if report.plot is not None:
        lines.append(Text(f"Plot: {report.plot}"))
    if report.page is not None:
        lines.append(Text(f"Page: {report.page}"))
    lines += [Text(f"Note: {note}.", "yellow") for note in report.notes]
    return Group(*lines)


LATENCY_TEXT = "Latency is that of the original, and the share of it that a cut takes."


def made_text(report: SweepReport) -> str:
    """Say what was cut, and judged on what."""
    return (
        f"{len(report.points)} cuts by share of the {QUANTITY_WORDS[report.budget]}, from one "
        f"calibration on {report.calibration}; recovery by {report.recovery}. Judged on "
        f"{report.judged}, none of them in that calibration"
    )


def sweep_titles(report: SweepReport) -> Row:
    """Return the titles of the points."""
    return ("criterion", "ratio", "params", "MACs", "latency", report.metric, "change",
            INTERVAL, "")  # fmt: skip


def sweep_rows(report: SweepReport) -> Iterator[Row]:
    """Yield a row for the original, then one for each point."""
    cost = report.before
    first = next(point.cut for point in report.points if point.cut is not None)
    latency = f"{first.speed[0].before.median_ms:.3g} ms" if first.speed else ""
    yield ("original", "", _count(cost.parameters), _count(cost.macs), latency,
           short(first.change.before), "", "", "")  # fmt: skip
    for point in report.points:
        name, ratio = point.criterion, f"{point.ratio:g}"
        if point.cut is None:
            yield name, ratio, "-", "-", "-", "-", "-", "-", ""
            continue
        left, change = point.cut.cost, point.cut.change
        yield (
            name, ratio, _count(left.parameters), _count(left.macs), _speed(point.cut),
            short(change.after), signed(change.change), interval(change),
            "knee" if point.knee else "",
        )  # fmt: skip


def _table(report: SweepReport) -> Table:
    table = table_of(*sweep_titles(report), words=1)
    for name, *cells in sweep_rows(report):
        table.add_row(Text(name), *cells)
    return table


def rivals(report: SweepReport) -> Iterator[tuple[SweepPoint, Change | None]]:
    """Yield each point beside that of the first criterion at the same ratio.

    Yields:
        The point, and how the metric differs on the same images; None where these are not known.
    """
    first = report.points[0].criterion
    own = {one.ratio: one.cut for one in report.points if one.criterion == first}
    for point in report.points:
        beside = own.get(point.ratio)
        if point.criterion != first and point.cut is not None and beside is not None:
            yield point, _paired(beside, point.cut, report.metric)


def _paired(first: SweepCut, second: SweepCut, metric: str) -> Change | None:
    if first.images is None or second.images is None:
        return None
    changes = paired_changes(first.images, second.images)
    return next((one for one in changes if one.metric == metric), None)


def rival_titles(report: SweepReport) -> Row:
    """Return the titles of the points beside those of the first criterion."""
    return "criterion", "ratio", f"'{report.points[0].criterion}'", "its own", "differs", INTERVAL


def rival_rows(report: SweepReport) -> Iterator[Row]:
    """Yield a row for each point beside one of the first criterion on the same images."""
    for point, change in rivals(report):
        if change is not None:
            yield (point.criterion, f"{point.ratio:g}", short(change.before), short(change.after),
                   signed(change.change), interval(change))  # fmt: skip


def rival_text(report: SweepReport) -> str:
    """Say what the table of criteria side by side is of, or why there is none; empty for one."""
    found = [change for _, change in rivals(report)]
    if not found:
        return ""
    if None in found:
        return (
            f"Criteria are not held against each other image by image: {report.metric} is no mean "
            "over images, or there are no masks."
        )
    return (
        f"Criteria side by side, {report.metric} on the same images: an interval that holds 0 "
        "means that these do not tell the two apart."
    )


def _against_first(report: SweepReport) -> Iterator[RenderableType]:
    said, rows = rival_text(report), tuple(rival_rows(report))
    if said:
        yield Text(said)
    if rows:
        table = table_of(*rival_titles(report))
        for name, *cells in rows:
            table.add_row(Text(name), *cells)
        yield table


def _count(count: int) -> str:
    """Return a count to three digits, in as few characters as that takes."""
    number, _, unit = short_count(count).partition(" ")
    return f"{float(number):.3g} {unit}".strip() if unit else number


def _speed(cut: SweepCut) -> str:
    return f"{1 / cut.speed[0].speedup.value:.2f}x" if cut.speed else ""


def problem_lines(report: SweepReport) -> Iterator[str]:
    """Say why points could not be made."""
    for point in report.points:
        if point.cut is None:
            yield f"{point.criterion} at {point.ratio:g}: {point.problem}."


def knees(report: SweepReport) -> Iterator[tuple[str, str]]:
    """Yield of each criterion where it begins to cost accuracy, and the command of that cut."""
    for criterion in dict.fromkeys(point.criterion for point in report.points):
        points = [p for p in report.points if p.criterion == criterion and p.cut is not None]
        knee = next((point for point in points if point.knee), None)
        if knee is not None:
            where = (
                f"Knee of '{criterion}' at {knee.ratio:g}, furthest above the chord of its curve:"
            )
            yield where, knee.command
        elif points:
            last = points[-1]
            assert last.cut is not None
            why = "stands out of the intervals"
            if last.cut.change.may_be_none and last.cut.change.low is not None:
                why = f"is there: nothing is lost for certain up to {last.ratio:g}"
            yield f"No knee of '{criterion}' {why}. The last point:", last.command
