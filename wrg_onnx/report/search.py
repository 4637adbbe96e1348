"""How the largest cut was found that keeps a metric, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.report.budget import QUANTITY_WORDS
from wrg_onnx.report.rows import Row
from wrg_onnx.report.table_parts import command_line, table_of

INTERVAL = "95 % interval"
"""The title of a column with intervals of changes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One cut that was tried.

    Attributes:
        ratio: The share of the budget that was asked for.
        reached: The share that went.
        change: How the metric changed; None if that could not be measured.
        holds: Whether the metric fell by no more than was allowed.
        seconds: How long it took.
        problem: Why it could not be measured; empty if it could.
    """

    ratio: float
    reached: float
    change: Change | None
    holds: bool
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SearchReport:
    """How the largest ratio was found at which a metric falls by no more than is allowed.

    Attributes:
        metric: The metric's title.
        most: How far it may fall.
        probes: The cuts of the bisection, in order.
        checks: The cuts that were checked then, with all samples to recover on; the last is what
            was returned.
        recovered_on: On how many samples a probe was recovered.
        samples: On how many a check was.
        searched_on: On how many held-out samples a probe was judged.
        checked_on: On how many a check was.
        apart: Whether no probe was judged on what the checks were.
        command: What makes the answer again, without a search.
    """

    metric: str
    most: float
    probes: tuple[Probe, ...]
    checks: tuple[Probe, ...]
    recovered_on: int
    samples: int
    searched_on: int
    checked_on: int
    apart: bool
    command: str

    @property
    def answer(self) -> Probe:
        """The cut that was returned."""
        return self.checks[-1]


def short(value: float) -> str:
    """Return a metric to three decimals, without the zero before the point."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def signed(value: float) -> str:
    """Return a change to three decimals, with its sign."""
    return ("-" if round(value, 3) < 0 else "+") + short(abs(value))


def interval(change: Change) -> str:
    """Return the interval of a change; a dash where there are too few images for one."""
    if change.low is None or change.high is None:
        return "-"
    return f"{signed(change.low)} to {signed(change.high)}"


def spoken_change(change: Change) -> str:
    """Return a change with its interval, in half a sentence."""
    images = f"{change.images} {'image' if change.images == 1 else 'images'}"
    sure = f"95 % interval {interval(change)}, {images}"
    if change.low is None:
        sure = f"{images}, too few for an interval"
    return (
        f"{change.metric} {short(change.before)} -> {short(change.after)} "
        f"({signed(change.change)}; {sure})"
    )


def search_lines(search: SearchReport, budget: str) -> Iterator[Text | Table]:
    """Yield how a search went, and what its answer is worth."""
    if search.answer.change is None:
        yield Text(answer_text(search, budget), "bold red")
        return
    yield Text(answer_text(search, budget))
    yield _table(search)
    yield Text(f"{tried_text(search)} The same cut again:")
    yield command_line(search.command)


def answer_text(search: SearchReport, budget: str) -> str:
    """Say what was found, and how certain that is."""
    answer = search.answer
    if answer.change is None:
        return f"The cut could not be checked: {answer.problem}."
    change, apart = answer.change, "that no probe saw" if search.apart else "that probes saw, too"
    return (
        f"The largest cut found whose {search.metric} gets worse by at most {short(search.most)}: "
        f"{answer.reached:.1%} of the {QUANTITY_WORDS[budget]}. "
        f"{spoken_change(change)}, {apart}.{_doubt(change, search.most)}"
    )


def tried_text(search: SearchReport) -> str:
    """Say on what the cuts were recovered and judged."""
    tried = f"{len(search.probes)} {'probe was' if len(search.probes) == 1 else 'probes were'}"
    return (
        f"The {tried} recovered on {search.recovered_on} samples and judged on "
        f"{search.searched_on} held-out ones, the rest on {search.samples} and "
        f"{search.checked_on}{' others' if search.apart else ', the same'}."
    )


def _doubt(change: Change, most: float) -> str:
    """Say how far the metric may fall on other images, if that is further than is allowed."""
    if change.worst is None or change.worst <= most:
        return ""
    return f" On other images it may get worse by {short(change.worst)}."


def search_titles(search: SearchReport) -> Row:
    """Return the titles of what was tried."""
    return "", "ratio", search.metric, "change", INTERVAL, "s"


def search_rows(search: SearchReport) -> Iterator[Row]:
    """Yield a row for each cut that was tried."""
    rows = [("probe", one) for one in search.probes] + [("check", one) for one in search.checks]
    for kind, one in rows:
        word = f"{kind}, {'holds' if one.holds else 'too much'}"
        cells = ("", one.problem or "-", "")
        if one.change is not None:
            change = one.change
            cells = (short(change.after), signed(change.change), interval(change))
        yield word, f"{one.ratio:.3f}", *cells, f"{one.seconds:.1f}"


def _table(search: SearchReport) -> Table:
    table = table_of(*search_titles(search))
    for row in search_rows(search):
        table.add_row(*row)
    return table
