"""The results as Markdown: what was aimed at, the six metrics at 60 %, and max F over the rest."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from reproduction.figures import (
    NAMES,
    QUANTITIES,
    TARGET_RATIO,
    USUAL,
    Column,
    Figure,
    Part,
    best,
    figures,
)
from reproduction.results import CONTROL, Result
from reproduction.settings import Settings
from reproduction.targets import targets

OVERVIEW = "max_f"
"""The metric of the tables that show one alone."""


def document(parts: Sequence[Part], command: str = "", plot: str = "") -> str:
    """Write all that is known as one page.

    A page of one net has a table of the six metrics for each number of steps; one of several nets
    for the fewest, or it would be too long to read.

    Args:
        parts: Each net's results, at least one.
        command: What makes them; empty for unknown.
        plot: The name of the file with the plots; empty for none.
    """
    several = len(parts) > 1
    names = [f"width {part.settings.net.width:g}" if several else "" for part in parts]
    lines = [*_head(parts, command), ""]
    lines += targets(parts, names)
    for name, part in zip(names, parts, strict=True):
        lines += _net(part, f", {name}" if name else "", several=several)
    if plot:
        lines += ["## Each metric against the ratio", ""]
        lines += [f"![Each metric against the ratio, at equal parameters and MACs]({plot})", ""]
    return "\n".join(lines)


def _head(parts: Sequence[Part], command: str) -> Iterator[str]:
    first = parts[0].settings
    results = [result for part in parts for result in part.results]
    data = " and ".join(first.data) or f"{first.images} made images of tiny objects a seed"
    judge = " and ".join(first.judge) or (
        "a quarter of them" if first.data else f"{first.held_out} other made images"
    )
    widths = [f"{part.settings.net.width:g}" for part in parts]
    what = "Every criterion" if first.chosen == first.rows else "Some criteria"
    yield f"# {what} on {'one net' if len(parts) == 1 else 'nets of several widths'}"
    yield ""
    yield (
        f"{first.net.name} at width {', '.join(widths)}{_normalisation(first)}, "
        f"{first.size} x {first.size} pixels, trained on {data} for {first.training.steps} steps "
        f"of {first.training.batch}; pruned by `wrg-onnx prune --recover {first.recover.value}` on "
        f"{first.samples} images; then fine-tuned on the training images by steps of "
        f"{first.tuning.batch}, each number of steps from the same start by a schedule of its own, "
        f"the unpruned net too (0: as recovery left it); judged on {judge}. Mean ± standard "
        f"deviation over the seeds {', '.join(map(str, sorted({r.seed for r in results})))}; of "
        "each column the best cut is bold."
    )
    yield ""
    if command:
        yield f"    {command}"
        yield ""
    hours = sum(r.cpu_seconds for r in results) / 3600
    packages = _all(", ".join(f"{k} {v}" for k, v in r.versions.items()) for r in results)
    yield (
        f"Computed on {_all(r.hardware for r in results)}, commit "
        f"{_all(r.commit for r in results)} with {packages}; {hours:.2f} core hours "
        "after training. A plus behind a commit: files differed from it."
    )
    yield ""
    missing = sum(part.missing for part in parts)
    yield (
        f"**Incomplete:** {len(results)} results, {missing} more are to come by the same command."
        if missing
        else f"{len(results)} results."
    )


def _normalisation(settings: Settings) -> str:
    if not settings.net.batch_norm:
        return ""
    return f" with batch normalisation{', folded in the file' if settings.fold else ''}"


def _all(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))


def _net(part: Part, name: str, *, several: bool) -> Iterator[str]:
    """Write one net's tables: the six metrics, then max F by steps and by ratio."""
    columns = part.columns
    ratios = sorted({column.ratio for column in columns})
    if TARGET_RATIO in ratios:
        ratios = [TARGET_RATIO]
    tuned = sorted({column.steps for column in columns if column.steps})
    for steps in tuned[:1] if several else tuned:
        for column in columns:
            if column.ratio in ratios and column.steps == steps:
                what = f"{column.ratio:.0%} of the {QUANTITIES[column.budget]} removed"
                yield f"## {what}, tuned for {steps} steps{name}"
                yield ""
                yield from _six(part, column)
    for ratio in ratios:
        shown = [column for column in columns if column.ratio == ratio]
        if len({column.steps for column in shown}) > 1:
            yield f"## {NAMES[OVERVIEW]} at {ratio:.0%}, by steps of fine-tuning{name}"
            yield ""
            heads = [f"{QUANTITIES[column.budget]}, {column.steps}" for column in shown]
            yield from _overview(part, shown, heads)
    shown = [column for column in columns if column.steps in tuned[:1]]
    if len({column.ratio for column in shown}) > 1:
        yield f"## {NAMES[OVERVIEW]} by ratio, tuned for {tuned[0]} steps{name}"
        yield ""
        heads = [f"{QUANTITIES[column.budget]}, {column.ratio:.0%}" for column in shown]
        yield from _overview(part, shown, heads)


def _six(part: Part, column: Column) -> Iterator[str]:
    """Write the six metrics of all rows, and how much of both budgets is gone."""
    cuts, lacking = part.cuts(column), part.lacking(column)
    rows = {label: figures(results) for label, results in cuts.items()}
    controls = {
        f"*{CONTROL}, as it was*": part.control(0),
        f"*{CONTROL}, tuned*": part.control(column.steps),
    }
    yield "| criterion | seeds | parameters | MACs |" + "".join(f" {NAMES[m]} |" for m in USUAL)
    yield "|" + "---|" * (4 + len(USUAL))
    for label, results in (controls | cuts).items():
        if not results:
            continue
        removed = " | ".join(
            ""
            if label in controls
            else f"-{statistics.fmean(r.removed[b.value] for r in results):.1%}"
            for b in QUANTITIES
        )
        found = figures(results)
        cells = [
            # Nets of other seeds are easier or harder to cut: rows that differ in them are not
            # compared.
            _shown(m, found[m], bold=not lacking and label in rows and best(rows, m) == label)
            for m in USUAL
        ]
        yield f"| {label} | {len(results)} | {removed} | {' | '.join(cells)} |"
    yield ""
    if lacking:
        yield f"Incomplete: {lacking}. No cut is named the best."
        yield ""


def _overview(part: Part, columns: Sequence[Column], heads: Sequence[str]) -> Iterator[str]:
    """Write one metric of all rows, a column for each way to cut and tune."""
    by_column = [
        {label: figures(results) for label, results in part.cuts(column).items()}
        for column in columns
    ]
    lacking = {head: part.lacking(c) for head, c in zip(heads, columns, strict=True)}
    yield "| criterion |" + "".join(f" {head} |" for head in heads)
    yield "|---|" + "---|" * len(heads)
    level = [_mean(part.control(column.steps)) for column in columns]
    yield f"| *{CONTROL}* | {' | '.join(level)} |"
    for row in part.settings.rows:
        if not any(row.label in rows for rows in by_column):
            continue
        cells = [
            _shown(
                OVERVIEW,
                rows[row.label][OVERVIEW],
                bold=not lacking[head] and best(rows, OVERVIEW) == row.label,
            )
            if row.label in rows
            else ""
            for head, rows in zip(heads, by_column, strict=True)
        ]
        yield f"| {row.label} | {' | '.join(cells)} |"
    yield ""
    for what in dict.fromkeys(filter(None, lacking.values())):
        where = " and ".join(f"'{head}'" for head, found in lacking.items() if found == what)
        yield f"Incomplete at {where}: {what}. No cut is named the best there."
        yield ""


def _mean(results: Sequence[Result]) -> str:
    return _shown(OVERVIEW, figures(results)[OVERVIEW], bold=False) if results else ""


def _shown(metric: str, found: Figure, *, bold: bool) -> str:
    """Write mean and spread; errors with one more digit, since they are small."""
    digits = 5 if metric == "mae" else 4
    mark = "**" if bold else ""
    spread = f" ± {found.spread:.{digits}f}" if found.spread else ""
    return f"{mark}{found.mean:.{digits}f}{mark}{spread}"
