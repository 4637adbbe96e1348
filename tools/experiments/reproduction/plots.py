"""Each metric against the ratio, at equal parameters and at equal MACs, as one SVG.

Repair and SEL are drawn thick, with their standard deviation over the seeds as a band; SEL's parts
are dashed, the baselines solid, random dotted. The unpruned net is a level line, as it was and
tuned for as long. The ground is white whatever the page's is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduction.figures import NAMES, QUANTITIES, USUAL, Column, Figure, Part, figures
from reproduction.results import CONTROL, Result, lower_is_better
from reproduction.settings import NAMES as CRITERIA
from wrg_onnx.errors import MissingPackageError
from wrg_onnx.files import renamed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS = {
    "repair": {"color": "#c00000", "marker": "s"},
    "sel": {"color": "black", "marker": "o"},
}
"""The two that are drawn thick, and with a band."""

PARTS = ("sel-repair", "w", "r", "g", "wr", "wg", "rg")
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#6a51a3",
)  # fmt: skip
"""Okabe and Ito's, which the colour-blind can tell apart, less black and yellow, and two more."""

MARKERS = "osD^vPX*"
COLUMNS = 3
PANEL = (3.5, 2.7)
"""Width and height of one metric, in inches."""


def draw(part: Part, path: Path) -> None:
    """Draw all metrics after the shortest fine-tuning; the same results give the same bytes.

    Nets of other seeds are easier or harder to cut. So a line breaks where it lacks a seed that
    another has at that ratio, and the unpruned level is drawn if it has the seeds of all cuts.

    Args:
        part: The net, and its results, of which at least one is of a cut that was tuned.
        path: The SVG to write, whole or not at all.

    Raises:
        MissingPackageError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("matplotlib", purpose="plots", extra="plots") from error
    steps = min(column.steps for column in part.columns if column.steps)
    shown = [column for column in part.columns if column.steps == steps]
    budgets = [budget for budget in QUANTITIES if budget in {c.budget for c in shown}]
    per_budget = -(-len(USUAL) // COLUMNS)
    lines = per_budget * len(budgets)
    # Identifiers come from this salt, and not from where objects lie in memory.
    with mpl.rc_context({"svg.hashsalt": "wrg-onnx", "svg.fonttype": "none", "font.size": 9}):
        size = (PANEL[0] * COLUMNS, PANEL[1] * lines + 0.8)
        sheet = Figure(figsize=size, facecolor="white", layout="constrained")
        panels = sheet.subplots(lines, COLUMNS, squeeze=False).ravel()
        for number, (budget, metric) in enumerate((b, m) for b in budgets for m in USUAL):
            _panel(panels[number], metric, part, [c for c in shown if c.budget is budget])
        handles, labels = panels[0].get_legend_handles_labels()
        sheet.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with renamed(path) as target:
            sheet.savefig(target, format="svg", metadata={"Date": None})


def _panel(panel: Axes, metric: str, part: Part, columns: Sequence[Column]) -> None:
    """Draw one metric over the columns, which differ in their ratios alone."""
    budget, steps = columns[0].budget, columns[0].steps
    cuts = {column.ratio: part.cuts(column) for column in columns}
    seeds = {
        ratio: {r.seed for results in rows.values() for r in results}
        for ratio, rows in cuts.items()
    }
    for tuned, dashes in ((0, (0, (1, 1))), (steps, "-")):
        control = part.control(tuned)
        if control and all({r.seed for r in control} >= of_cuts for of_cuts in seeds.values()):
            level = figures(control)[metric].mean
            words = f"{CONTROL}, tuned" if tuned else f"{CONTROL}, as it was"
            panel.axhline(level, color="#555555", linewidth=1, linestyle=dashes, label=words)
    for row in part.settings.rows:
        if not any(row.label in rows for rows in cuts.values()):
            continue
        name = row.criterion.name
        found = [_point(cuts[ratio].get(row.label, ()), metric, seeds[ratio]) for ratio in cuts]
        panel.plot([*cuts], [one.mean for one in found], label=row.label, **style(name))
        if name in OURS:
            low = [one.mean - one.spread for one in found]
            high = [one.mean + one.spread for one in found]
            colour = OURS[name]["color"]
            panel.fill_between([*cuts], low, high, color=colour, alpha=0.12, linewidth=0)
    arrow = "lower is better" if lower_is_better(metric) else "higher is better"
    panel.set_title(f"{NAMES[metric]} ({arrow})", fontsize=10)
    panel.set_xlabel(f"share of the {QUANTITIES[budget]} removed")
    panel.set_xticks([*cuts])
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _point(results: Sequence[Result], metric: str, seeds: set[int]) -> Figure:
    """Return a point of a line; NaN, which is not drawn nor joined, without all seeds."""
    if {r.seed for r in results} != seeds:
        return Figure(math.nan, math.nan)
    return figures(results)[metric]


def style(criterion: str) -> dict[str, Any]:
    """Return how a line looks."""
    if criterion in OURS:
        return {**OURS[criterion], "linewidth": 2.2, "markersize": 5, "zorder": 5}
    if criterion == "random":
        return {"color": "#888888", "linewidth": 1.2, "linestyle": ":", "marker": "."}
    others = [name for name in CRITERIA if name not in (*PARTS, *OURS)]
    number = (PARTS if criterion in PARTS else others).index(criterion) % len(COLOURS)
    return {
        "color": COLOURS[number],
        "linewidth": 1.2,
        "linestyle": "--" if criterion in PARTS else "-",
        "marker": MARKERS[number],
        "markersize": 4,
    }
