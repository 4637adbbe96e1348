"""What a run did, in sentences that the terminal and the page share."""

from __future__ import annotations

from statistics import median

from wrg_onnx.finetune import Between, EpochResult
from wrg_onnx.report.records import (
    ConversionReport,
    FinetuneReport,
    PruneReport,
    RecoveryReport,
    SparsifyReport,
    ValidateReport,
)


def certainty_text(report: PruneReport) -> str:
    """Say from how many samples the choice was made, and how certain it is."""
    if report.certainty is None:
        return ""
    early = (
        f", {n} of them for {name}" for name, n in report.images_of.items() if n < report.images
    )
    used = f"{report.images} used{''.join(early)}"
    return f" ({used}; the choice is {report.certainty:.1%} certain)"


def faded_text(found: SparsifyReport) -> str:
    """Say how the original was trained towards the cut."""
    epochs = "1 epoch" if found.epochs == 1 else f"{found.epochs} epochs"
    said = (
        f"Before the cut {epochs} let {found.units:,} units fade to {found.left:.1%} of their "
        f"size; held-out loss {found.loss_before:.4f} -> {found.loss_after:.4f}"
    )
    if found.max_f_before is None or found.max_f_after is None:
        return f"{said}."
    return f"{said}, max F {found.max_f_before:.3f} -> {found.max_f_after:.3f}."


def recovery_text(recovery: RecoveryReport) -> str:
    """Say how surviving weights made up for removed ones."""
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


def conversion_text(found: ConversionReport) -> str:
    """Say in which numbers the file is, and what of it is not."""
    text = f"Then written in {found.precision}"
    if found.samples:
        text += f", its ranges measured on {found.samples} samples"
    if found.left:
        left = ", ".join(f"{count} {op}" for op, count in found.left.items())
        text += f"; in float32 {'stays' if sum(found.left.values()) == 1 else 'stay'} {left}"
    return f"{text}. Its inputs and outputs are those of the original."


def _trained(recovery: RecoveryReport) -> str:
    """Say what fine-tuning added; nothing without it."""
    if recovery.chosen is None:
        return ""
    first, last = recovery.history[0], recovery.history[-1]
    idle = f" The last {last.without_gain} gained nothing." if last.without_gain > 1 else ""
    gained, place = gain_text(first, recovery.chosen), place_text(recovery)
    return f" Fine-tuning then took the {gained}, {place}.{idle}"


def gain_text(before: EpochResult, after: Between) -> str:
    """Say what the held-out samples say of weights before and after training."""
    said = f"held-out loss from {before.held_out_loss:.4f} to {after.held_out_loss:.4f}"
    if before.held_out_max_f is None or after.held_out_max_f is None:
        return said
    return f"{said}, max F there from {before.held_out_max_f:.3f} to {after.held_out_max_f:.3f}"


def place_text(report: RecoveryReport | FinetuneReport) -> str:
    """Say where the weights that were taken lie."""
    epochs = report.history[-1].epoch
    if report.chosen is None or not report.chosen.share:
        return f"no weights of {epochs} {'epoch' if epochs == 1 else 'epochs'} being better"
    if report.chosen.share == 1:
        return f"in epoch {report.best_epoch} of {epochs}"
    return f"{report.chosen.share:.0%} of the way to epoch {report.best_epoch} of {epochs}"


def structure_text(report: ValidateReport) -> str:
    """Say what both models have in common."""
    if not report.narrowed:
        return "Structure: the same inputs, outputs and operators; the checker passes."
    return (
        "Structure: the same inputs and outputs; the checker passes. The operators are others, "
        f"since the pruned model is {report.narrowed}."
    )
