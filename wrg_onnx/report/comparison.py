"""A model before and after, in the rows and sentences that the terminal and the page share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wrg_onnx.evaluate.bootstrap import FEWEST_IMAGES, Change
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.evaluate.metrics import RELATIVE_ERROR
from wrg_onnx.latency import Latency, Speed
from wrg_onnx.report.records import ConversionReport
from wrg_onnx.report.rows import (
    LOWER_IS_BETTER,
    METRICS,
    Compared,
    Row,
    accuracy_rows,
    byte_size,
)
from wrg_onnx.report.search import INTERVAL, interval, short
from wrg_onnx.report.speed import change_text, noise_text, speed_text

LARGEST_ERROR = "largest relative error"
"""The name of the row of all outputs together."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Costs, latency and accuracy, before and after.

    Attributes:
        titles: Of the columns; the first one, of the rows' names, is empty.
        rows: Their cells.
        speed: How fast it is, a sentence for each provider.
        noise: How noisy the machine is; None if it is quiet, or nothing was timed.
        judged: What it was judged on, and what the columns between are; None if it was not judged.
    """

    titles: Row
    rows: tuple[Row, ...]
    speed: tuple[str, ...]
    noise: str | None
    judged: str | None


def compare(
    costs: Iterable[Row],
    accuracy: Accuracy | None,
    speed: Sequence[Speed],
    conversion: ConversionReport | None = None,
    changes: Sequence[Change] = (),
) -> Comparison:
    """Lay out a model before and after, with what it was between where that was measured.

    Args:
        costs: Rows of what it costs: name, before, after, change.
        accuracy: How good both are; None if that was not measured.
        speed: How fast both are, by provider.
        conversion: In which numbers the model was written; None if in those of the original.
        changes: How certain each change is; a column of its own where an interval is known.
    """
    has_cut = accuracy is not None and accuracy.cut is not None
    after = "after" if conversion is None else conversion.precision
    rows = [_cost_row(row, conversion) for row in costs]
    rows += [row for one in speed for row in _speed_rows(one)]
    rows += [] if accuracy is None else accuracy_rows(accuracy)
    rows += _largest_error(accuracy, changes)
    between = [*(["cut"] if has_cut else []), *([] if conversion is None else ["float32"])]
    cells = [_cells(one, has_cut, conversion is not None) for one in rows]
    titles: Row = ("", "before", *between, after, "change")
    if sure := _intervals(accuracy, changes):
        titles += (INTERVAL,)
        cells = [(*one, sure.get(one[0], "")) for one in cells]
    return Comparison(
        titles=titles,
        rows=tuple(cells),
        speed=tuple(f"Speed-up on {one.provider}: {speed_text(one)}." for one in speed),
        noise=noise_text(one.noise for one in speed),
        judged=None if accuracy is None else _judged(accuracy, has_cut, conversion, changes),
    )


def _largest_error(accuracy: Accuracy | None, changes: Sequence[Change]) -> Iterator[Compared]:
    """Yield the error that an interval is known of, where it is of no one output."""
    if accuracy is not None and len(accuracy.agreement) > 1:
        for change in changes:
            if change.metric == RELATIVE_ERROR.title:
                yield Compared((LARGEST_ERROR, "", short(change.after), ""))


def _intervals(accuracy: Accuracy | None, changes: Sequence[Change]) -> Mapping[str, str]:
    """Return the interval of each row that has one, by the row's name."""
    names = {title.removesuffix(LOWER_IS_BETTER): title for title, _ in METRICS}
    if accuracy is not None and accuracy.agreement:
        alone = [f"relative error of '{one.output}'" for one in accuracy.agreement]
        names[RELATIVE_ERROR.title] = alone[0] if len(alone) == 1 else LARGEST_ERROR
    return {names[one.metric]: interval(one) for one in changes
            if one.low is not None and one.metric in names}  # fmt: skip


def _cells(one: Compared, has_cut: bool, is_converted: bool) -> Row:
    name, before, after, change = one.row
    between = [*([one.cut] if has_cut else []), *([one.float32] if is_converted else [])]
    return (name, before, *between, after, change)


def _cost_row(row: Row, conversion: ConversionReport | None) -> Compared:
    if conversion is None or row[0] != "file":
        return Compared(row)
    return Compared(row, float32=byte_size(conversion.float32_bytes))


def _speed_rows(one: Speed) -> Iterator[Compared]:
    for name, time, change in (
        ("median", _median, change_text(one)),
        ("p95", _p95, ""),
    ):
        row = (f"latency {one.provider}, {name}", time(one.before), time(one.after), change)
        yield Compared(row, float32="" if one.float32 is None else time(one.float32))


def _median(latency: Latency) -> str:
    return f"{latency.median_ms:.2f} ms"


def _p95(latency: Latency) -> str:
    return f"{latency.p95_ms:.2f} ms"


def _judged(
    accuracy: Accuracy,
    has_cut: bool,
    conversion: ConversionReport | None,
    changes: Sequence[Change],
) -> str:
    """Say what both were judged on, and what stands in the columns between them."""
    said = f"Judged on {accuracy.data}."
    if changes and changes[0].low is None:
        said += f" {FEWEST_IMAGES} or more would tell how certain a change is."
    if accuracy.unjudged:
        names = ", ".join(f"'{name}'" for name in accuracy.unjudged)
        said += f" Not judged, since of no numbers: {names}."
    if has_cut:
        said += " The column 'cut' is the model before its recovery."
    if conversion is not None:
        said += (
            f" The column 'float32' is the model before it was written in {conversion.precision}."
        )
    return said
