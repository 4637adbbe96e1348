"""Each metric against the ratio, one line per criterion, as one SVG.

SEL is drawn thick, with its standard deviation over the seeds as a band; its parts are dashed, the
baselines solid, random dotted. The unpruned net, fine-tuned for as long, is the level line. The
ground is white whatever the page's is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reproduction.results import CONTROL, Result, lower_is_better
from reproduction.settings import NAMES as CRITERIA
from reproduction.settings import Row
from reproduction.table import NAMES, Figure, figures
from wrg_onnx.errors import MissingPackageError
from wrg_onnx.files import renamed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = ("w", "r", "g", "wr", "wg", "rg")
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d31", "#6a51a3",
)  # fmt: skip
"""Okabe and Ito's, which the colour-blind can tell apart, less black and yellow, and two more."""

MARKERS = "osD^vPX*"
COLUMNS = 3
PANEL = (3.5, 2.7)
"""Width and height of one metric, in inches."""


def draw(rows: Sequence[Row], results: Sequence[Result], path: Path) -> None:
    """Draw all metrics after fine-tuning; the same results give the same bytes.

    Nets of other seeds are easier or harder to cut. So a line breaks where it lacks a seed that
    another has at that ratio, and the unpruned level is drawn if it has the seeds of all cuts.

    Args:
        rows: The lines.
        results: Of which at least one is a cut.
        path: The SVG to write, whole or not at all.

    Raises:
        MissingPackageError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("matplotlib", purpose="plots", extra="plots") from error
    metrics = list(results[0].after)
    lines = -(-len(metrics) // COLUMNS)
    # Identifiers come from this salt, and not from where objects lie in memory.
    with mpl.rc_context({"svg.hashsalt": "wrg-onnx", "svg.fonttype": "none", "font.size": 9}):
        size = (PANEL[0] * COLUMNS, PANEL[1] * lines + 0.7)
        sheet = Figure(figsize=size, facecolor="white", layout="constrained")
        panels = sheet.subplots(lines, COLUMNS, squeeze=False).ravel()
        for panel in panels[len(metrics) :]:
            panel.set_visible(False)
        for panel, metric in zip(panels, metrics, strict=False):
            _panel(panel, metric, rows, results)
        handles, labels = panels[0].get_legend_handles_labels()
        sheet.legend(handles, labels, loc="outside lower center", ncols=7, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with renamed(path) as part:
            sheet.savefig(part, format="svg", metadata={"Date": None})


def _panel(panel: Axes, metric: str, rows: Sequence[Row], results: Sequence[Result]) -> None:
    names = {row.criterion.name for row in rows}
    cuts = [r for r in results if r.criterion in names]
    seeds = {ratio: _seeds(cuts, ratio) for ratio in sorted({r.ratio for r in cuts})}
    control = [r for r in results if r.criterion == CONTROL]
    if control and all(_seeds(control, 0.0) >= of_cuts for of_cuts in seeds.values()):
        level = figures(control, "after")[metric].mean
        panel.axhline(level, color="#555555", linewidth=1, label=f"{CONTROL}, tuned")
    for row in rows:
        mine = [r for r in cuts if r.criterion == row.criterion.name]
        if not mine:
            continue
        found = [_point(mine, ratio, metric, every) for ratio, every in seeds.items()]
        means = [one.mean for one in found]
        panel.plot([*seeds], means, label=row.label, **_style(row.criterion.name))
        if row.criterion.name == "sel":
            low = [one.mean - one.spread for one in found]
            high = [one.mean + one.spread for one in found]
            panel.fill_between([*seeds], low, high, color="black", alpha=0.12, linewidth=0)
    arrow = "lower is better" if lower_is_better(metric) else "higher is better"
    panel.set_title(f"{NAMES[metric]} ({arrow})", fontsize=10)
    panel.set_xlabel("share of the parameters removed")
    panel.set_xticks([*seeds])
    panel.grid(color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _seeds(results: Sequence[Result], ratio: float) -> set[int]:
    return {r.seed for r in results if r.ratio == ratio}


def _point(results: Sequence[Result], ratio: float, metric: str, seeds: set[int]) -> Figure:
    """Return a point of a line; NaN, which is not drawn nor joined, without all seeds."""
    if _seeds(results, ratio) != seeds:
        return Figure(math.nan, math.nan)
    return figures([r for r in results if r.ratio == ratio], "after")[metric]


def _style(criterion: str) -> dict[str, Any]:
    """Return how a line looks."""
    if criterion == "sel":
        return {"color": "black", "linewidth": 2.4, "marker": "o", "markersize": 5, "zorder": 5}
    if criterion == "random":
        return {"color": "#888888", "linewidth": 1.2, "linestyle": ":", "marker": "."}
    others = [name for name in CRITERIA if name not in (*PARTS, "sel")]
    number = (PARTS if criterion in PARTS else others).index(criterion) % len(COLOURS)
    return {
        "color": COLOURS[number],
        "linewidth": 1.2,
        "linestyle": "--" if criterion in PARTS else "-",
        "marker": MARKERS[number],
        "markersize": 4,
    }
