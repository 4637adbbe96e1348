"""The figures of a report as rows of text: what it cost and how good it is, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wrg_onnx.evaluate.agreement import OutputAgreement
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy, Judged

Row = tuple[str, ...]
"""Cells of the comparison: its name, before, after and change."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A row of the comparison, and what the model was on its way from before to after.

    Attributes:
        row: The row.
        cut: The cell of the model as it was cut, before its recovery.
        float32: That of the pruned model before it was written in other numbers.
    """

    row: Row
    cut: str = ""
    float32: str = ""


def cost_rows(before: Cost, after: Cost) -> Iterator[Row]:
    """Yield parameters, MACs and, where both were measured, the bytes of the file."""
    yield count_row("parameters", before.parameters, after.parameters)
    yield count_row("MACs", before.macs, after.macs)
    if before.file_bytes is not None and after.file_bytes is not None:
        yield (
            "file",
            byte_size(before.file_bytes),
            byte_size(after.file_bytes),
            f"{percent_change(before.file_bytes, after.file_bytes)}",
        )


def count_row(name: str, before: int, after: int) -> Row:
    """Return the row of a quantity that is counted."""
    return name, short_count(before), short_count(after), percent_change(before, after)


def percent_change(before: float, after: float) -> str:
    """Return a change relative to what was there before."""
    return f"{(after - before) / before:+.1%}" if before else ""


LOWER_IS_BETTER = " (lower is better)"
"""What a table adds to the title of a metric; a change has the title alone."""

METRICS: Sequence[tuple[str, str]] = (
    (f"MAE{LOWER_IS_BETTER}", "mae"),
    ("max F", "max_f"),
    ("mean F", "mean_f"),
    ("weighted F", "weighted_f"),
    ("S-measure", "s_measure"),
    ("max E", "max_e"),
    ("size-invariant MAE", "si_mae"),
    ("size-invariant max F", "si_max_f"),
    ("size-invariant mean F", "si_mean_f"),
)
"""Title and field of each saliency metric, in the order of a table."""


def accuracy_rows(accuracy: Accuracy) -> Iterator[Compared]:
    """Yield the saliency metrics where there are masks, then the distance of each output."""
    cut, float32 = accuracy.cut, accuracy.float32
    if accuracy.before is not None and accuracy.after is not None:
        for title, name in METRICS:
            first, second = getattr(accuracy.before, name), getattr(accuracy.after, name)
            row = (title, f"{first:.3f}", f"{second:.3f}", signed_change(second - first))
            yield Compared(row, _metric_cell(cut, name), _metric_cell(float32, name))
    for place, output in enumerate(accuracy.agreement):
        row = (f"relative error of '{output.output}'", "", error_cell(output), "")
        before = ("" if m is None else error_cell(m.agreement[place]) for m in (cut, float32))
        yield Compared(row, *before)


def _metric_cell(judged: Judged | None, name: str) -> str:
    return "" if judged is None else f"{getattr(judged.scores, name):.3f}"


def error_cell(output: OutputAgreement) -> str:
    """Return a relative error; a dash where the original's output is zero."""
    return "-" if output.relative_error is None else f"{output.relative_error:.3f}"


def byte_size(count: int) -> str:
    """Return a size in bytes with its unit."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.2f} MB" if count >= 100_000 else f"{count / 1e3:.2f} KB"


def short_count(count: int) -> str:
    """Return a count to three digits with its unit."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return str(count)


def signed_change(change: float) -> str:
    """Show a change to three decimals; one that rounds to nothing has a plus."""
    return f"{round(change, 3) + 0.0:+.3f}"
