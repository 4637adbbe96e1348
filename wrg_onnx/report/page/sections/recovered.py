"""What recovery repaired, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wrg_onnx.recover import LayerFit
from wrg_onnx.report.page.charts import Side, columns_of, curves, layer_points, own_names
from wrg_onnx.report.page.parts import (
    Cell,
    Figure,
    Head,
    Legend,
    Part,
    Section,
    Table,
    Text,
    drawn_of,
    listed,
    missing,
    most_of,
)
from wrg_onnx.report.page.plots.lines import Axis, Curve, Point, plane
from wrg_onnx.report.page.plots.rows import axis, dots
from wrg_onnx.report.records import RecoveryReport
from wrg_onnx.report.scale import LogScale
from wrg_onnx.report.sentences import recovery_text

TITLES = ("layer's output", "cut", "recovered", "rows")
"""Of the columns that are not drawn."""

PARTS = {"before": "cut", "after": "after"}

LEAST = 1e-5
"""An error that is smaller is drawn there."""


def recovered(report: RecoveryReport | None) -> Section:
    """Draw the error of each layer's output before and after its weights were solved for."""
    name, title = "recovery", "What recovery repaired"
    if report is None:
        return missing(name, title, "Weights were not recovered in this run.")
    parts: list[Part] = [Text(recovery_text(report))]
    measured = [fit for fit in report.fits if fit.before is not None and fit.after is not None]
    if measured:
        parts.append(_fits(measured))
    if len(report.history) > 1:
        parts.append(_training(report))
    if report.left:
        rows = tuple((reason, f"{count:,}") for reason, count in report.left.items())
        parts.append(Table("Layers that kept their weights", ("why", "layers"), rows))
    return Section(name, title, tuple(parts))


def _fits(fits: Sequence[LayerFit]) -> Figure:
    scale = _scale(fits)
    shown = most_of(fits, [fit.before or 0.0 for fit in fits])
    rows, more = tuple(_rows(shown, scale)), drawn_of(len(fits), "layers", "that lost most")
    head = Head("error", axis(scale, "{:.3g} %".format, "error in percent"))
    name_title, *titles = TITLES
    drawn = Table("Error of each layer's output", (name_title, head, *titles), rows, frozenset({1}),
                  more=more)  # fmt: skip
    bars = [
        (name, part, max(100 * value, 100 * LEAST))
        for name, fit in zip(own_names([fit.layer for fit in shown]), shown, strict=True)
        for part, value in (("before", fit.before), ("after", fit.after))
        if value is not None
    ]
    chart = layer_points(columns_of(("layer", "part", "value"), bars), PARTS, "error, in percent")
    return Figure(
        "recovery-drawn", "Error of each layer's output", drawn,
        "Mean square error over the variance of the original's output, on samples held out, with "
        "the weights as they were cut and with those solved for. An axis of logarithms.",
        Legend((("cut", "cut"), ("after", "recovered"))), chart,
        listed(TITLES, [(fit.layer, *_figures(fit)) for fit in fits],
               "layers that were solved for"),
    )  # fmt: skip


def _scale(fits: Sequence[LayerFit]) -> LogScale:
    values = [value for fit in fits for value in (fit.before, fit.after) if value]
    low = max(min(values, default=LEAST), LEAST)
    high = max(*values, low * 10) if values else 1.0
    return LogScale(100 * low, 100 * high, 2, 98)


def _rows(fits: Sequence[LayerFit], scale: LogScale) -> Iterator[tuple[Cell, ...]]:
    for fit in fits:
        assert fit.before is not None
        assert fit.after is not None
        values = ((100 * fit.before, "cut"), (100 * fit.after, "after"))
        before, after, *others = _figures(fit)
        drawn = dots(values, scale, f"from {before} to {after}")
        yield fit.layer, drawn, before, after, *others


def _figures(fit: LayerFit) -> tuple[str, ...]:
    return (f"{fit.before:.2%}", f"{fit.after:.2%}", f"{fit.rows:,}")


def _training(report: RecoveryReport) -> Figure:
    losses = [epoch.held_out_loss for epoch in report.history]
    points = tuple(
        Point(epoch.epoch, epoch.held_out_loss, is_marked=epoch.epoch == report.best_epoch)
        for epoch in report.history
    )
    low, high = min(losses), max(losses)
    room = 0.06 * (high - low) or 0.01
    x = Axis("epoch", 0, max(1, report.history[-1].epoch), "{:g}".format)
    y = Axis("held-out loss", low - room, high + room, "{:.4g}".format)
    label = f"Held-out loss from {losses[0]:.4f} to {losses[-1]:.4f}; the best epoch is marked"
    rows = [("held out", epoch.epoch, epoch.held_out_loss) for epoch in report.history]
    cells = tuple(
        (f"{epoch.epoch}", f"{epoch.held_out_loss:.4f}",
         "-" if epoch.held_out_max_f is None else f"{epoch.held_out_max_f:.3f}")
        for epoch in report.history
    )  # fmt: skip
    titles = ("epoch", "held-out loss", "max F")
    return Figure(
        "training-drawn", "Fine-tuning", plane([Curve("held out", points, "curve-1")], x, y, label),
        "Of the averaged weights, on samples held out; the best epoch has a ring.", None,
        curves(columns_of(("curve", "x", "y"), rows), Side("epoch", "d"), Side(y.title), {}),
        Table("Each epoch", titles, cells, folded=True),
    )  # fmt: skip
