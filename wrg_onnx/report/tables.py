"""The result as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.report.comparison import Comparison, compare
from wrg_onnx.report.exported import exported_line
from wrg_onnx.report.proof import proof_text
from wrg_onnx.report.records import (
    ExportReport,
    FinetuneReport,
    FrozenReport,
    InspectReport,
    PruneReport,
    ValidateReport,
)
from wrg_onnx.report.rows import (
    METRICS,
    byte_size,
    cost_rows,
    error_cell,
    short_count,
    signed_change,
)
from wrg_onnx.report.search import search_lines
from wrg_onnx.report.sentences import (
    certainty_text,
    conversion_text,
    faded_text,
    gain_text,
    place_text,
    recovery_text,
    structure_text,
)
from wrg_onnx.report.table_parts import MOST_ROWS, more_than_shown, table_of
from wrg_onnx.report.unfinished import unfinished_lines

NOT_WRITTEN = "(nothing written)"


def prune_text(report: PruneReport) -> RenderableType:
    """Show what a pruning did: the table before and after, the proof, and notes."""
    lines: list[RenderableType] = [
        Text(f"{report.model} -> {report.output or NOT_WRITTEN}", "bold"),
        Text(
            f"{report.removed:,} of {report.units:,} units removed by '{report.criterion}' "
            f"({report.scope}), statistics from {report.calibration}{certainty_text(report)}"
        ),
        *_compared(
            compare(
                cost_rows(report.before, report.after),
                report.accuracy,
                report.speed,
                report.conversion,
            )
        ),
        *([] if report.search is None else search_lines(report.search, report.budget)),
        *([] if report.sparsified is None else [Text(faded_text(report.sparsified))]),
        Text(proof_text(report)),
    ]
    if report.recovery is not None:
        lines.append(Text(recovery_text(report.recovery)))
    if report.conversion is not None:
        lines.append(Text(conversion_text(report.conversion)))
    lines += _written(report.page)
    lines += [Text(line, "bold red") for line in unfinished_lines(report.unfinished)]
    lines += [Text(f"Note: {note}.", "yellow") for note in report.notes]
    return Group(*lines)


def _written(page: str | None) -> list[Text]:
    """Say where the page is."""
    return [] if page is None else [Text(f"Page: {page}")]


def validate_text(report: ValidateReport) -> RenderableType:
    """Show a pruned model beside its original."""
    lines: list[RenderableType] = [Text(f"{report.original} -> {report.pruned}", "bold")]
    lines += [Text(f"Problem: {problem}.", "red") for problem in report.problems]
    costs = cost_rows(report.before, report.after)
    lines += _compared(compare(costs, report.accuracy, report.speed, changes=report.changes))
    if not report.problems:
        lines.append(Text(structure_text(report)))
    if report.exported is not None:
        lines.append(Text(exported_line(report.exported, report.pruned)))
    lines += _written(report.page)
    lines += [Text(f"Note: {note}.", "yellow") for note in report.notes]
    return Group(*lines)


def export_text(report: ExportReport) -> RenderableType:
    """Show what an export wrote."""
    lines = [
        Text(
            f"{report.factory} -> {report.output or NOT_WRITTEN}: {report.parameters:,} "
            f"parameters, {byte_size(report.file_bytes)}, opset {report.opset}; ONNX Runtime "
            f"agrees with torch to {report.error:.1e}"
        )
    ]
    if report.weights is not None:
        lines.append(Text(f"Weights: {report.weights}."))
    lines += [Text(f"Note: {note}.", "yellow") for note in report.notes]
    return Group(*lines)


def finetune_text(report: FinetuneReport) -> RenderableType:
    """Show what a fine-tuning did: how it went, and the accuracy before and after."""
    stopped = f"{report.epochs} of {report.planned} epochs"
    why = (
        f" The last {report.patience} gained nothing, so training stopped."
        if report.epochs < report.planned
        else ""
    )
    lines: list[RenderableType] = [
        Text(f"{report.model} -> {report.output or NOT_WRITTEN}", "bold"),
        Text(
            f"Trained on {report.training} {report.data}, {report.held_out} more held out to "
            f"choose the weights; the loss is made of {report.objective}"
        ),
        Text(
            f"{stopped} in {report.seconds.get('train', 0.0):.0f} s on {report.device} took the "
            f"{gain_text(report.history[0], report.chosen)}, {place_text(report)}.{why}"
        ),
    ]
    if report.before is not None and report.after is not None:
        lines.append(
            _progress_table(report.before, report.after, has_teacher=report.teacher is not None)
        )
        lines.append(Text(f"Judged on {report.after.data}."))
    lines.append(
        Text(f"Check: ONNX Runtime computes what the torch twin does, error {report.error:.1e}.")
    )
    lines += [Text(line, "bold red") for line in unfinished_lines(report.unfinished)]
    lines += [Text(f"Note: {note}.", "yellow") for note in report.notes]
    return Group(*lines)


def _progress_table(before: Accuracy, after: Accuracy, *, has_teacher: bool) -> Table:
    """Show a model before and after training, beside its teacher."""
    table = table_of("", *(["teacher"] if has_teacher else []), "before", "after", "change")
    reference = before.before if has_teacher else after.before
    first = before.after if has_teacher else after.before
    if reference is not None and first is not None and after.after is not None:
        for title, name in METRICS:
            start, end = getattr(first, name), getattr(after.after, name)
            shown = [f"{getattr(reference, name):.3f}"] if has_teacher else []
            table.add_row(title, *shown, f"{start:.3f}", f"{end:.3f}", signed_change(end - start))
    for old, new in zip(before.agreement, after.agreement, strict=True):
        cells = [error_cell(old), error_cell(new)] if has_teacher else ["", error_cell(new)]
        shown = [""] if has_teacher else []
        table.add_row(Text(f"relative error of '{new.output}'"), *shown, *cells, "")
    return table


def inspect_text(report: InspectReport) -> RenderableType:
    """Show what can be cut, and what stays and why."""
    sizes = ", ".join(f"{k} {'x'.join(map(str, v)) or 'scalar'}" for k, v in report.sizes.items())
    free = (
        f"{report.frozen_share:.1%} of the parameters are frozen, the largest ratio is "
        f"{report.largest_ratio:.1%}"
    )
    if report.nothing is not None:
        free = f"nothing can be cut: {report.nothing}"
    lines: list[RenderableType] = [
        Text(report.model, "bold"),
        Text(
            f"{report.cost.parameters:,} parameters, {short_count(report.cost.macs)} MACs at "
            f"{sizes}; {free}"
        ),
    ]
    if not report.groups and not report.frozen:
        return Group(*lines)
    groups = table_of("layer width", "units", "removable", "parameters per unit")
    for group in report.groups[:MOST_ROWS]:
        groups.add_row(
            Text(group.name), f"{group.units}", f"{group.removable}", f"{group.parameters:,}"
        )
    if report.groups:
        lines += [groups, *more_than_shown(len(report.groups), "layer widths")]
    if report.frozen:
        frozen = table_of("why units stay", "units", "they hold", "ratio if freed")
        for row in report.frozen[:MOST_ROWS]:
            freed = "-" if row.largest_ratio is None else f"{row.largest_ratio:.1%}"
            frozen.add_row(_why(row), f"{row.units}", f"{row.share:.1%}", freed)
        lines += [frozen, *more_than_shown(len(report.frozen), "reasons")]
    return Group(*lines, *_choices(report.choices))


def _why(row: FrozenReport) -> Text:
    """Say who decided that units stay, where that reaches them, and what lifts it."""
    said = [row.reason, *([row.met] if row.met else [])]
    said += [f"way out: {row.way_out}"] if row.way_out else []
    return Text("\n  ".join(said))


def _choices(choices: Mapping[str, str]) -> Iterator[Text]:
    """Say how axes were divided, once for all nodes that divide alike."""
    alike: dict[str, list[str]] = {}
    for node, choice in choices.items():
        alike.setdefault(choice, []).append(node)
    for choice, nodes in list(alike.items())[:MOST_ROWS]:
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        yield Text(f"Choice at '{nodes[0]}'{more}: {choice}.")
    yield from more_than_shown(len(alike), "choices")


def _compared(found: Comparison) -> Iterator[RenderableType]:
    """Show the comparison, and what is said below it."""
    table = table_of(*found.titles)
    for name, *cells in found.rows:
        table.add_row(Text(name), *cells)
    yield table
    yield from (Text(line) for line in found.speed)
    if found.noise is not None:
        yield Text(f"Note: {found.noise}.", "yellow")
    if found.judged is not None:
        yield Text(found.judged)
