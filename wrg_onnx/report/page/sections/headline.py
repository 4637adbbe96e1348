"""What somebody who decides reads first: how much went, how good it is, how fast, and the proof."""

from __future__ import annotations

from collections.abc import Iterator

from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.latency import Speed
from wrg_onnx.report.budget import QUANTITY_WORDS
from wrg_onnx.report.page.parts import Tile
from wrg_onnx.report.records import PruneReport, ValidateReport
from wrg_onnx.report.rows import error_cell, short_count
from wrg_onnx.report.search import interval, short, signed
from wrg_onnx.report.speed import change_text, speed_text


def headline(report: PruneReport) -> tuple[Tile, ...]:
    """Return the figures of a pruning that decide."""
    return (_removed(report), *quality(report), *speed_tiles(report.speed), _proof(report))


def lead(report: PruneReport) -> str:
    """Say the same in a sentence."""
    said = [f"{report.reached:.1%} of the {QUANTITY_WORDS[report.budget]} are gone"]
    change = main_change(report)
    if change is not None:
        said.append(_judged(change))
    said += [_faster(one) for one in report.speed[:1]]
    said.append("the surgery is proven" if report.equivalence.tensors else "nothing was to prove")
    return f"{'; '.join(said)}."


def validation_lead(report: ValidateReport) -> str:
    """Say whether the structure is right, and what that model is worth."""
    if report.problems:
        return "The structure is wrong."
    change = main_change(report)
    said = ["The structure is the original's", *([] if change is None else [_judged(change)])]
    return f"{'; '.join([*said, *(_faster(one) for one in report.speed[:1])])}."


def main_change(report: PruneReport | ValidateReport) -> Change | None:
    """Return the change that speaks for all: of what was searched by, max F, or the error."""
    if isinstance(report, PruneReport) and report.search is not None:
        return report.search.answer.change
    changes = {change.metric: change for change in report.changes}
    return changes.get("max F", next(iter(report.changes), None))


def _removed(report: PruneReport) -> Tile:
    before, after = report.before, report.after
    counts = f"{short_count(before.parameters)} → {short_count(after.parameters)} parameters"
    return Tile(f"{QUANTITY_WORDS[report.budget]} removed", f"{report.reached:.1%}", counts)


def quality(report: PruneReport | ValidateReport) -> Iterator[Tile]:
    """Yield how good it is, with how certain that is where it is known."""
    change = main_change(report)
    if change is not None:
        yield change_tile(change)
    elif report.accuracy is not None:
        yield from accuracy_tiles(report.accuracy)
    else:
        yield Tile("accuracy", "not measured", "the run did not judge")


def change_tile(change: Change) -> Tile:
    """Return how a metric changed, with its interval."""
    images = f"{change.images} image{'' if change.images == 1 else 's'}"
    sure = f"95 % interval {interval(change)}, {images}"
    if change.low is None:
        sure = f"{images}, too few for an interval"
    tone = "plain" if change.may_be_none else "bad" if change.drop > 0 else "good"
    if change.metric == "relative error":
        return Tile("relative error of the outputs", short(change.after), sure)
    value = f"{short(change.before)} → {short(change.after)}"
    return Tile(change.metric, value, f"{signed(change.change)}; {sure}", tone)


def accuracy_tiles(accuracy: Accuracy) -> Iterator[Tile]:
    """Yield max F where there are masks, else the error of the outputs."""
    if accuracy.before is not None and accuracy.after is not None:
        before, after = accuracy.before.max_f, accuracy.after.max_f
        note = f"{signed(after - before)}, {accuracy.after.images} images"
        yield Tile("max F", f"{short(before)} → {short(after)}", note)
        return
    for output in accuracy.agreement[:1]:
        yield Tile("relative error of the outputs", error_cell(output), f"of '{output.output}'")


def speed_tiles(speed: tuple[Speed, ...]) -> Iterator[Tile]:
    """Yield how fast it is, by provider."""
    for one in speed:
        tone = "plain"
        if one.speedup.is_known and one.speedup.is_beyond_noise and not one.noise.is_much:
            tone = "good" if one.speedup.value > 1 else "bad"
        times = f"{one.before.median_ms:.2f} → {one.after.median_ms:.2f}"
        yield Tile(f"latency on {one.provider}, ms", times, speed_text(one), tone)
    if not speed:
        yield Tile("latency", "not measured", "the run did not time the models")


def _proof(report: PruneReport) -> Tile:
    found = report.equivalence
    if not found.tensors:
        return Tile("proof", "nothing to prove", "no output of the original varies", "bad")
    note = f"in {found.tensors} tensors; tolerance {found.tolerance:.0e}"
    if found.rounding is not None:
        note = f"in {found.tensors} tensors; rounding alone reaches {found.rounding:.1e} there"
    tone = "bad" if found.unexercised else "good"
    return Tile("proof: largest error", f"{found.error:.1e}", note, tone)


def _judged(change: Change) -> str:
    if change.metric == "relative error":
        return f"the outputs are off by {short(change.after)}"
    if change.low is None:
        return f"{change.metric} changes by {signed(change.change)}"
    return f"{change.metric} changes by {signed(change.change)} ({interval(change)})"


def _faster(speed: Speed) -> str:
    said = change_text(speed)
    if said.endswith(("faster", "slower")):
        return f"it is {said} on {speed.provider}"
    if said == "within noise":
        return f"it is no faster on {speed.provider} beyond the noise"
    return f"whether it is faster on {speed.provider} is {said}"
