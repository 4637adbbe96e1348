"""The table of the terminal, the metrics as a drawing, and what is said of both."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.report.comparison import compare
from wrg_onnx.report.page.parts import (
    Cell,
    Figure,
    Head,
    Legend,
    Part,
    Section,
    Table,
    Text,
    missing,
)
from wrg_onnx.report.page.plots.rows import axis, dots
from wrg_onnx.report.proof import proof_text
from wrg_onnx.report.records import PruneReport, ValidateReport
from wrg_onnx.report.rows import LOWER_IS_BETTER, METRICS, cost_rows, signed_change
from wrg_onnx.report.scale import Scale
from wrg_onnx.report.search import interval
from wrg_onnx.report.sentences import (
    certainty_text,
    conversion_text,
    faded_text,
    recovery_text,
    structure_text,
)


def before_and_after(report: PruneReport) -> Section:
    """Show what a pruning did."""
    made = (
        f"{report.removed:,} of {report.units:,} units removed by '{report.criterion}' "
        f"({report.scope}), statistics from {report.calibration}{certainty_text(report)}."
    )
    said = [made, proof_text(report)]
    said += [faded_text(report.sparsified)] if report.sparsified is not None else []
    said += [recovery_text(report.recovery)] if report.recovery is not None else []
    said += [conversion_text(report.conversion)] if report.conversion is not None else []
    found = compare(
        cost_rows(report.before, report.after), report.accuracy, report.speed, report.conversion
    )
    table = Table("Cost, latency and accuracy, before and after", found.titles, found.rows)
    said += [*found.speed, *([found.judged] if found.judged is not None else [])]
    notes = [*report.notes, *([found.noise] if found.noise is not None else [])]
    parts: list[Part] = [table, *map(Text, said)]
    parts += [Text(f"Note: {note}.", "note") for note in notes]
    return Section("before-after", "Before and after", tuple(parts))


def compared(report: ValidateReport) -> Section:
    """Show a pruned model beside its original."""
    accuracy, costs = report.accuracy, cost_rows(report.before, report.after)
    # Those of metrics stand beside the drawing of these.
    changes = report.changes if accuracy is not None and accuracy.before is None else ()
    found = compare(costs, accuracy, report.speed, changes=changes)
    table = Table("Cost, latency and accuracy, before and after", found.titles, found.rows)
    said = [] if report.problems else [structure_text(report)]
    said += [*found.speed, *([found.judged] if found.judged is not None else [])]
    notes = [*report.notes, *([found.noise] if found.noise is not None else [])]
    parts: list[Part] = [table, *map(Text, said)]
    parts += [Text(f"Note: {note}.", "note") for note in notes]
    return Section("before-after", "Before and after", tuple(parts))


def metrics(accuracy: Accuracy | None, changes: Sequence[Change]) -> Section:
    """Draw the saliency metrics: of the original, after the cut, and after recovery."""
    name, title = "metrics", "Metrics"
    if accuracy is None:
        return missing(name, title, "Accuracy was not measured in this run.")
    if accuracy.before is None or accuracy.after is None:
        return missing(
            name, title,
            "This run had no masks, or the model no saliency map: no metric was taken, and the "
            "outputs were held against the original's (above).",
        )  # fmt: skip
    keys = [("before", "before")]
    keys += [("cut", "after the cut")] if accuracy.cut is not None else []
    keys += [("after", "after recovery" if accuracy.cut is not None else "after")]
    scale = Scale(_lowest(accuracy), 1, 2, 98)
    head = Head("higher is better", axis(scale, "{:.2g}".format, "metric, up to 1"))
    titles: tuple[str | Head, ...] = (
        "metric",
        head,
        *(word for _, word in keys),
        "change",
        "95 % interval",
    )
    rows = tuple(_metric_rows(accuracy, {one.metric: one for one in changes}, scale))
    drawn = Table("Saliency metrics", titles, rows, plots=frozenset({1}))
    caption = (
        "Means over the held-out images. The mean absolute error (MAE), of which lower is better, "
        "is not drawn."
    )
    figure = Figure("metrics-drawn", "How good the model is", drawn, caption, Legend(tuple(keys)))
    return Section(name, title, (figure,))


def _lowest(accuracy: Accuracy) -> float:
    """Return where the axis of the metrics that are drawn begins, a tenth below or less."""
    judged = [accuracy.before, accuracy.after]
    judged += [] if accuracy.cut is None else [accuracy.cut.scores]
    values = [getattr(one, name) for one in judged for _, name in METRICS if "mae" not in name]
    return min(0.9, math.floor(10 * float(min(values))) / 10)


def _metric_rows(
    accuracy: Accuracy, changes: dict[str, Change], scale: Scale
) -> Iterator[tuple[Cell, ...]]:
    for title, name in METRICS:
        before, after = getattr(accuracy.before, name), getattr(accuracy.after, name)
        was_cut = [] if accuracy.cut is None else [getattr(accuracy.cut.scores, name)]
        tones = ["before", *(["cut"] if was_cut else []), "after"]
        values = [before, *was_cut, after]
        label = ", ".join(f"{tone} {value:.3f}" for tone, value in zip(tones, values, strict=True))
        is_drawn = "mae" not in name
        drawn = dots(zip(values, tones, strict=True), scale, label) if is_drawn else ""
        change = changes.get(title.removesuffix(LOWER_IS_BETTER))
        sure = "-" if change is None else interval(change)
        shown = (f"{value:.3f}" for value in values)
        yield title, drawn, *shown, signed_change(after - before), sure
