"""What was set out to meet, at 60 %, and whether it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    gain,
)

DEFAULT = "repair"
"""The criterion of ``prune`` if none is given."""

SEEDS = 3
"""Of how many nets a verdict is the mean, at least."""

AS_TUNED = 4
"""Metrics of the six on which repair should reach the unpruned net that is tuned for as long."""

CLOSE = 5
"""Metrics of the six on which SEL should be first, or as good as."""


def targets(parts: Sequence[Part], names: Sequence[str]) -> Iterator[str]:
    """Write a table with a row for each net, budget and number of steps; nothing without any.

    Args:
        parts: The nets.
        names: What to call them; empty for the only one.
    """
    rows = [
        (name, part, column)
        for name, part in zip(names, parts, strict=True)
        for column in part.columns
        if column.ratio == TARGET_RATIO and column.steps
    ]
    if not rows:
        return
    of_net = "net | " if any(names) else ""
    yield f"## What was aimed at, at {TARGET_RATIO:.0%}"
    yield ""
    yield (
        f"`{DEFAULT}`, the default, against the unpruned net as it was: the difference of the "
        "means (bold where it is at least as good) and on how many of the six it is, wanted: all; "
        "on how many against the unpruned net tuned for as long, wanted: "
        f"{AS_TUNED}. `sel`: on how many it is first of all criteria or within one standard "
        f"deviation of the first, wanted: {CLOSE}; on how many at least as good as the unpruned "
        "net tuned for as long, wanted: all."
    )
    yield ""
    yield (
        f"| {of_net}removed of | steps |{''.join(f' {NAMES[m]} |' for m in USUAL)} as it was | "
        "tuned as long | `sel` first | `sel` tuned as long |"
    )
    yield "|" + "---|" * (len(USUAL) + 6 + bool(of_net))
    for name, part, column in rows:
        cells = [name] if of_net else []
        cells += [QUANTITIES[column.budget], str(column.steps)]
        yield f"| {' | '.join((*cells, *_repair(part, column), *_sel(part, column)))} |"
    yield ""


def _repair(part: Part, column: Column) -> list[str]:
    """Return the differences, and both verdicts."""
    groups = part.cuts(column).get(DEFAULT), part.control(0), part.control(column.steps)
    if not all(groups):
        return [*[""] * len(USUAL), *["incomplete"] * 2]
    mine, was, tuned = (figures(group or ()) for group in groups)
    seeds = [{r.seed for r in group or ()} for group in groups]
    is_whole = seeds[0] == seeds[1] == seeds[2] and len(seeds[0]) >= SEEDS
    shown = []
    for metric in USUAL:
        difference = f"{mine[metric].mean - was[metric].mean:+.5f}"
        shown.append(f"**{difference}**" if _reaches(metric, mine, was) else difference)
    return [
        *shown,
        _verdict(sum(_reaches(m, mine, was) for m in USUAL), len(USUAL), is_whole=is_whole),
        _verdict(sum(_reaches(m, mine, tuned) for m in USUAL), AS_TUNED, is_whole=is_whole),
    ]


def _sel(part: Part, column: Column) -> list[str]:
    """Return both verdicts."""
    cuts, control = part.cuts(column), part.control(column.steps)
    if "sel" not in cuts or not control:
        return ["incomplete"] * 2
    rows = {label: figures(results) for label, results in cuts.items()}
    sel, tuned = rows["sel"], figures(control)
    close = 0
    for metric in USUAL:
        first = rows[best(rows, metric)][metric]
        close += gain(metric, first.mean, sel[metric].mean) <= first.spread
    kept = sum(_reaches(m, sel, tuned) for m in USUAL)
    is_whole = not part.lacking(column) and len(control) >= SEEDS
    return [
        _verdict(close, CLOSE, is_whole=is_whole),
        _verdict(kept, len(USUAL), is_whole=is_whole),
    ]


def _reaches(metric: str, mine: dict[str, Figure], other: dict[str, Figure]) -> bool:
    return gain(metric, mine[metric].mean, other[metric].mean) >= 0


def _verdict(count: int, wanted: int, *, is_whole: bool) -> str:
    word = "incomplete" if not is_whole else "met" if count >= wanted else "missed"
    return f"{count} of {len(USUAL)}: {word}"
