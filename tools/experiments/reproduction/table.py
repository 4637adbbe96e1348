"""The results as Markdown: mean and spread over the seeds, and what the targets say."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reproduction.results import CONTROL, Result, lower_is_better
from reproduction.settings import Settings

USUAL = ("mae", "max_f", "mean_f", "weighted_f", "s_measure", "max_e")
"""The six metrics that the targets speak of."""

NAMES = {
    "mae": "MAE", "max_f": "max F", "mean_f": "mean F", "weighted_f": "weighted F",
    "s_measure": "S-measure", "max_e": "max E", "si_mae": "SI-MAE", "si_max_f": "SI max F",
    "si_mean_f": "SI mean F",
}  # fmt: skip

TARGET_RATIO = 0.6
WANTED = 5
"""Metrics of the six on which SEL should be first, or as good as."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number over the seeds.

    Attributes:
        mean: Of the seeds.
        spread: Their standard deviation (with one less than their number); 0 for a single one.
    """

    mean: float
    spread: float


def figure(values: Sequence[float]) -> Figure:
    """Return mean and spread."""
    return Figure(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)


def figures(results: Iterable[Result], when: str) -> dict[str, Figure]:
    """Return each metric over the seeds; ``when`` is ``"before"`` or ``"after"``."""
    found = [getattr(result, when) for result in results]
    return {metric: figure([one[metric] for one in found]) for metric in found[0]}


def document(settings: Settings, results: Sequence[Result], plot: str = "") -> str:
    """Write all that is known as one page.

    Args:
        settings: The experiment.
        results: All of its results that there are.
        plot: The name of the file with the plots; empty for none.
    """
    control = [r for r in results if r.criterion == CONTROL]
    ratios = sorted({r.ratio for r in results if r.criterion != CONTROL})
    lines = [*_head(settings, results), ""]
    if plot:
        lines += [f"![Each metric against the ratio]({plot})", ""]
    for ratio in ratios:
        cut = _by_row(settings, (r for r in results if r.ratio == ratio))
        lacking = _lacking(({CONTROL: control} if control else {}) | cut)
        for when, what in (("after", "recovered and fine-tuned"), ("before", "before fine-tuning")):
            rows = ({f"*{CONTROL}*": control} if control else {}) | cut
            lines += [f"## {ratio:.0%} of the parameters removed, {what}", ""]
            lines += [*_table(rows, when, is_complete=not lacking), ""]
        if lacking:
            lines += [f"Incomplete: {lacking}. No cut is named the best.", ""]
        if ratio == TARGET_RATIO:
            lines += [*_targets(control, cut, is_complete=not lacking), ""]
    return "\n".join(lines)


def _head(settings: Settings, results: Sequence[Result]) -> Iterator[str]:
    net, training, tuning = settings.net, settings.training, settings.tuning
    data = " and ".join(settings.data) or f"{settings.images} made images of tiny objects a seed"
    judge = " and ".join(settings.judge) or (
        "a quarter of them" if settings.data else f"{settings.held_out} other made images"
    )
    seeds = sorted({r.seed for r in results})
    yield "# Every criterion on one net"
    yield ""
    yield (
        f"{net.name} at width {net.width:g}{_normalisation(settings)}, "
        f"{settings.size} x {settings.size} pixels, trained on {data} for {training.steps} steps "
        f"of {training.batch}; pruned by `wrg-onnx prune --recover {settings.recover.value}` on "
        f"{settings.samples} images; then fine-tuned for {tuning.steps} steps of {tuning.batch}, "
        f"the unpruned net too; judged on {judge}. Mean ± standard deviation over the seeds "
        f"{', '.join(map(str, seeds))}; of each column the best cut is bold."
    )
    yield ""
    hours = sum(r.cpu_seconds for r in results) / 3600
    packages = _all(", ".join(f"{k} {v}" for k, v in r.versions.items()) for r in results)
    yield (
        f"Computed on {_all(r.hardware for r in results)}, commit "
        f"{_all(r.commit for r in results)} with {packages}; {hours:.2f} core hours "
        "after training. A plus behind a commit: files differed from it."
    )
    yield ""
    yield f"{len(results)} results."


def _normalisation(settings: Settings) -> str:
    if not settings.net.batch_norm:
        return ""
    return f" with batch normalisation{', folded in the file' if settings.fold else ''}"


def _all(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))


def _by_row(settings: Settings, results: Iterable[Result]) -> dict[str, list[Result]]:
    """Group results by the label of their row, in the order of the rows."""
    labels = {row.criterion.name: row.label for row in settings.rows}
    found: dict[str, list[Result]] = {label: [] for label in labels.values()}
    for result in results:
        if result.criterion in labels:
            found[labels[result.criterion]].append(result)
    return {label: mine for label, mine in found.items() if mine}


def _lacking(rows: Mapping[str, Sequence[Result]]) -> str:
    """Say which rows lack seeds that others have; nothing if none does."""
    seeds = {name: {r.seed for r in results} for name, results in rows.items()}
    every = set().union(*seeds.values())
    found = (
        f"{name} lacks the seeds {', '.join(map(str, sorted(every - mine)))}"
        for name, mine in seeds.items()
        if mine != every
    )
    return "; ".join(found)


def _table(rows: Mapping[str, Sequence[Result]], when: str, *, is_complete: bool) -> Iterator[str]:
    by_row = {name: figures(results, when) for name, results in rows.items()}
    metrics = list(next(iter(by_row.values())))
    # Nets of other seeds are easier or harder to cut: rows that differ in them are not compared.
    best = {metric: _first(by_row, metric) if is_complete else "" for metric in metrics}
    yield "| criterion | seeds | removed |" + "".join(f" {NAMES[m]} |" for m in metrics)
    yield "|---|---|---|" + "---|" * len(metrics)
    for name, results in rows.items():
        several = len(results) > 1
        cells = [_shown(by_row[name][m], bold=best[m] == name, several=several) for m in metrics]
        removed = statistics.fmean(r.removed for r in results)
        yield f"| {name} | {len(results)} | {removed:.1%} | {' | '.join(cells)} |"


def _shown(found: Figure, *, bold: bool, several: bool) -> str:
    mark = "**" if bold else ""
    spread = f" ± {found.spread:.4f}" if several else ""
    return f"{mark}{found.mean:.4f}{mark}{spread}"


def _first(rows: Mapping[str, Mapping[str, Figure]], metric: str) -> str:
    """Return the best cut."""
    sign = -1 if lower_is_better(metric) else 1
    cut = [name for name in rows if name != f"*{CONTROL}*"]
    return max(cut, key=lambda name: sign * rows[name][metric].mean)


def _targets(
    control: Sequence[Result], cut: Mapping[str, Sequence[Result]], *, is_complete: bool
) -> Iterator[str]:
    """Say whether SEL meets what was set out to meet, if all rows have the same seeds."""
    if not control or "sel" not in cut:
        return
    yield f"### The targets, at {TARGET_RATIO:.0%}"
    yield ""
    if not is_complete:
        yield "Incomplete: nothing is judged before all rows have the same seeds."
        return
    rows = {name: figures(results, "after") for name, results in cut.items()}
    unpruned = figures(control, "after")
    yield "| metric | unpruned | SEL | SEL - unpruned | first | SEL within 1 sd of the first |"
    yield "|---|---|---|---|---|---|"
    kept = close = 0
    for metric in USUAL:
        sign = -1 if lower_is_better(metric) else 1
        name, sel = _first(rows, metric), rows["sel"][metric]
        first = rows[name][metric]
        is_kept = sign * (sel.mean - unpruned[metric].mean) >= 0
        is_close = sign * (first.mean - sel.mean) <= first.spread
        kept, close = kept + is_kept, close + is_close
        yield (
            f"| {NAMES[metric]} | {unpruned[metric].mean:.4f} | {sel.mean:.4f} | "
            f"{sel.mean - unpruned[metric].mean:+.4f} | {name} {first.mean:.4f} ± "
            f"{first.spread:.4f} | {'yes' if is_close else 'no'} |"
        )
    yield ""
    # A single seed has no deviation to be within.
    shown = "incomplete" if len(control) == 1 else "met" if close >= WANTED else "missed"
    yield (
        f"SEL is at least as good as the unpruned net, fine-tuned for as long, on {kept} of "
        f"{len(USUAL)} metrics ({'met' if kept == len(USUAL) else 'missed'}: all). It is first, or "
        f"within one standard deviation of the first, on {close} of {len(USUAL)} "
        f"({shown}: {WANTED})."
    )
