"""The result as text for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.finetune import Between, EpochResult
from wrg_onnx.latency import Speed
from wrg_onnx.report.exported import exported_line
from wrg_onnx.report.proof import proof_text
from wrg_onnx.report.records import (
    ConversionReport,
    ExportReport,
    FinetuneReport,
    FrozenReport,
    InspectReport,
    PruneReport,
    RecoveryReport,
    SparsifyReport,
    ValidateReport,
)
from wrg_onnx.report.rows import (
    METRICS,
    Row,
    accuracy_rows,
    byte_size,
    cost_rows,
    error_cell,
    short_count,
    signed_change,
)
from wrg_onnx.report.search import search_lines
from wrg_onnx.report.speed import change_text, noise_text, speed_text
from wrg_onnx.report.table_parts import MOST_ROWS, more_than_shown, table_of
from wrg_onnx.report.unfinished import unfinished_lines

NOT_WRITTEN = "(nothing written)"


def prune_text(report: PruneReport) -> RenderableType:
    """Show what a pruning did: the table before and after, the proof, and notes."""
    lines: list[RenderableType] = [
        Text(f"{report.model} -> {report.output or NOT_WRITTEN}", "bold"),
        Text(
            f"{report.removed:,} of {report.units:,} units removed by '{report.criterion}' "
            f"({report.scope}), statistics from {report.calibration}{_certainty(report)}"
        ),
        _comparison(
            cost_rows(report.before, report.after),
            report.accuracy,
            report.speed,
            report.conversion,
        ),
        *([] if report.search is None else search_lines(report.search, report.budget)),
        *([] if report.sparsified is None else [Text(_faded(report.sparsified))]),
        Text(proof_text(report)),
    ]
    if report.recovery is not None:
        lines.append(Text(_recovery(report.recovery)))
    if report.conversion is not None:
        lines.append(Text(_conversion(report.conversion)))
    lines += [Text(line, "bold red") for line in unfinished_lines(report.unfinished)]
    lines += [Text(f"Note: {note}.", "yellow") for note in report.notes]
    return Group(*lines)


def _certainty(report: PruneReport) -> str:
    if report.certainty is None:
        return ""
    early = (
        f", {n} of them for {name}" for name, n in report.images_of.items() if n < report.images
    )
    used = f"{report.images} used{''.join(early)}"
    return f" ({used}; the choice is {report.certainty:.1%} certain)"


def _faded(found: SparsifyReport) -> str:
    epochs = "1 epoch" if found.epochs == 1 else f"{found.epochs} epochs"
    said = (
        f"Before the cut {epochs} let {found.units:,} units fade to {found.left:.1%} of their "
        f"size; held-out loss {found.loss_before:.4f} -> {found.loss_after:.4f}"
    )
    if found.max_f_before is None or found.max_f_after is None:
        return f"{said}."
    return f"{said}, max F {found.max_f_before:.3f} -> {found.max_f_after:.3f}."


def _recovery(recovery: RecoveryReport) -> str:
    changed = "biases" if recovery.method == "bias" else "weights"
    rounds = f" in each of {recovery.rounds} rounds" if recovery.rounds > 1 else ""
    fits = recovery.fits
    if not fits:
        why = "could be solved for" if recovery.left else "needed it"
        return f"Recovery by {recovery.method}: no layer {why}.{_trained(recovery)}"
    text = (
        f"Recovery by {recovery.method}{rounds}: the {changed} of {len(fits)} layers were solved "
        f"for on {recovery.samples} samples"
    )
    before = [fit.before for fit in fits if fit.before is not None]
    after = [fit.after for fit in fits if fit.after is not None]
    if before and after:
        text += (
            f"; the error of a layer's output went from {median(before):.1%} to "
            f"{median(after):.1%} of its variance (median)"
        )
    return f"{text}.{_trained(recovery)}"


def _conversion(found: ConversionReport) -> str:
    """Say in which numbers the file is, and what of it is not."""
    text = f"Then written in {found.precision}"
    if found.samples:
        text += f", its ranges measured on {found.samples} samples"
    if found.left:
        left = ", ".join(f"{count} {op}" for op, count in found.left.items())
        text += f"; in float32 {'stays' if sum(found.left.values()) == 1 else 'stay'} {left}"
    return f"{text}. Its inputs and outputs are those of the original."


def _trained(recovery: RecoveryReport) -> str:
    if recovery.chosen is None:
        return ""
    first, last = recovery.history[0], recovery.history[-1]
    idle = f" The last {last.without_gain} gained nothing." if last.without_gain > 1 else ""
    return f" Fine-tuning then took the {_gain(first, recovery.chosen)}, {_place(recovery)}.{idle}"


def _gain(before: EpochResult, after: Between) -> str:
    """Say what the held-out samples say of weights before and after training."""
    said = f"held-out loss from {before.held_out_loss:.4f} to {after.held_out_loss:.4f}"
    if before.held_out_max_f is None or after.held_out_max_f is None:
        return said
    return f"{said}, max F there from {before.held_out_max_f:.3f} to {after.held_out_max_f:.3f}"


def _place(report: RecoveryReport | FinetuneReport) -> str:
    """Say where the weights that were taken lie."""
    epochs = report.history[-1].epoch
    if report.chosen is None or not report.chosen.share:
        return f"no weights of {epochs} {'epoch' if epochs == 1 else 'epochs'} being better"
    if report.chosen.share == 1:
        return f"in epoch {report.best_epoch} of {epochs}"
    return f"{report.chosen.share:.0%} of the way to epoch {report.best_epoch} of {epochs}"


def validate_text(report: ValidateReport) -> RenderableType:
    """Show a pruned model beside its original."""
    lines: list[RenderableType] = [Text(f"{report.original} -> {report.pruned}", "bold")]
    lines += [Text(f"Problem: {problem}.", "red") for problem in report.problems]
    lines.append(_comparison(cost_rows(report.before, report.after), report.accuracy, report.speed))
    if not report.problems:
        lines.append(Text(_structure(report)))
    if report.exported is not None:
        lines.append(Text(exported_line(report.exported, report.pruned)))
    lines += [Text(f"Note: {note}.", "yellow") for note in report.notes]
    return Group(*lines)


def _structure(report: ValidateReport) -> str:
    """Say what both models have in common."""
    if not report.narrowed:
        return "Structure: the same inputs, outputs and operators; the checker passes."
    return (
        "Structure: the same inputs and outputs; the checker passes. The operators are others, "
        f"since the pruned model is {report.narrowed}."
    )


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
            f"{_gain(report.history[0], report.chosen)}, {_place(report)}.{why}"
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


def _comparison(
    costs: Iterable[Row],
    accuracy: Accuracy | None,
    speed: Sequence[Speed],
    conversion: ConversionReport | None = None,
) -> RenderableType:
    cut = accuracy is not None and accuracy.cut is not None
    after_title = "after" if conversion is None else conversion.precision
    between = [*(["cut"] if cut else []), *([] if conversion is None else ["float32"])]
    table = table_of("", "before", *between, after_title, "change")

    def add(
        name: str, before: str, after: str, change: str, *, was_cut: str = "", float32: str = ""
    ) -> None:
        cells = [*([was_cut] if cut else []), *([] if conversion is None else [float32])]
        table.add_row(Text(name), before, *cells, after, change)

    for row in costs:
        single_bytes = None if conversion is None or row[0] != "file" else conversion.float32_bytes
        add(*row, float32="" if single_bytes is None else byte_size(single_bytes))
    for one in speed:
        single = one.float32
        add(
            f"latency {one.provider}, median",
            f"{one.before.median_ms:.2f} ms",
            f"{one.after.median_ms:.2f} ms",
            change_text(one),
            float32="" if single is None else f"{single.median_ms:.2f} ms",
        )
        add(
            f"latency {one.provider}, p95",
            f"{one.before.p95_ms:.2f} ms",
            f"{one.after.p95_ms:.2f} ms",
            "",
            float32="" if single is None else f"{single.p95_ms:.2f} ms",
        )
    said = [Text(f"Speed-up on {one.provider}: {speed_text(one)}.") for one in speed]
    noise = noise_text(one.noise for one in speed)
    said += [Text(f"Note: {noise}.", "yellow")] if noise else []
    if accuracy is None:
        return Group(table, *said)
    for compared in accuracy_rows(accuracy):
        add(*compared.row, was_cut=compared.cut, float32=compared.float32)
    judged = f"Judged on {accuracy.data}."
    if accuracy.unjudged:
        names = ", ".join(f"'{name}'" for name in accuracy.unjudged)
        judged += f" Not judged, since of no numbers: {names}."
    if cut:
        judged += " The column 'cut' is the model before its recovery."
    if conversion is not None:
        judged += f" The column 'float32' is the model before it was written in {after_title}."
    return Group(table, *said, Text(judged))
