"""The page and the plots: what is compared, what is called best, met or missed, and what is not."""

from __future__ import annotations

import re
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from reproduction.figures import USUAL, Figure, Part, figure, figures
from reproduction.results import CONTROL, Result, lower_is_better
from reproduction.settings import PROFILES, Tuning
from reproduction.table import document
from wrg_onnx.pipeline.config import BudgetKind

(QUICK,) = PROFILES["quick"]
SMALL = replace(
    QUICK,
    criteria=("repair", "sel", "l1"),
    budgets=(BudgetKind.PARAMS,),
    ratios=(0.6,),
    tunings=(Tuning(200),),
)
SEEDS = (0, 1, 2)


def result(criterion, seed, good, *, steps=200, ratio=0.6, budget="params"):
    """Make a result whose metrics are all as good as said."""
    is_cut = criterion != CONTROL
    return Result(
        seed=seed,
        criterion=criterion,
        budget=budget if is_cut else "",
        ratio=ratio if is_cut else 0.0,
        steps=steps,
        removed={"params": ratio, "macs": ratio / 2} if is_cut else {"params": 0, "macs": 0},
        scores={m: 1 - good if lower_is_better(m) else good for m in USUAL},
        seconds={"tune": 1.0},
        cpu_seconds=2.0,
        hardware="a machine",
        commit="abc1234",
        versions={"torch": "2.13.0"},
    )


def whole(**good):
    """Make all results of SMALL; a criterion has one figure for all seeds, or one each."""
    found = []
    for name, values in ({"unpruned": 0.95, "was": 0.94} | good).items():
        several = values if isinstance(values, tuple) else (values,) * len(SEEDS)
        for seed, value in zip(SEEDS, several, strict=True):
            if name == "was":
                found.append(result(CONTROL, seed, value, steps=0))
                continue
            found.append(result(name, seed, value))
            if name != CONTROL:
                found.append(result(name, seed, value / 2, steps=0))
    return found


def section(page, title):
    """Return what stands under a title."""
    return page.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def targets(page):
    """Return the cells of the only row of the table of what was aimed at."""
    (row,) = re.findall(r"^\| parameters \| 200 .*$", page, re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")][2:]


TITLE = "60% of the parameters removed, tuned for 200 steps"


def test_mean_and_spread_are_those_of_the_seeds():
    found = figures([result("sel", 0, 0.5), result("sel", 1, 0.7)])
    assert found["max_f"].mean == pytest.approx(0.6)
    assert found["max_f"].spread == pytest.approx(0.02**0.5)
    assert figure([0.3]) == Figure(0.3, 0.0)


def test_the_page_names_the_best_cut_and_what_it_was_made_with():
    results = whole(repair=0.9, sel=0.8, l1=0.7)
    page = document([Part(SMALL, results)], "a command --seed 0", "plot.svg")
    table = section(page, TITLE)
    assert "| repair | 3 | -60.0% | -30.0% | **0.10000** | **0.9000** |" in table
    assert "| sel | 3 | -60.0% | -30.0% | 0.20000 | 0.8000 |" in table
    assert "| *unpruned, as it was* | 3 |  |  | 0.06000 | 0.9400 |" in table
    assert "| *unpruned, tuned* | 3 |  |  | 0.05000 | 0.9500 |" in table
    for part in ("a machine", "abc1234", "torch 2.13.0", "plot.svg", "seeds 0, 1, 2", "a command"):
        assert part in page
    assert f"\n{len(results)} results.\n" in page
    assert "ncomplete" not in page


def test_max_f_is_shown_by_steps_and_by_ratio():
    settings = replace(SMALL, ratios=(0.4, 0.6), criteria=("sel",))
    results = [r for r in whole(sel=0.8) if r.criterion != "l1"] + [
        result("sel", seed, good, ratio=0.4, steps=steps)
        for seed in SEEDS
        for steps, good in ((0, 0.85), (200, 0.9))
    ]
    page = document([Part(settings, results)])
    steps = section(page, "max F at 60%, by steps of fine-tuning")
    assert "| criterion | parameters, 0 | parameters, 200 |" in steps
    assert "| *unpruned* | 0.9400 | 0.9500 |" in steps
    assert "| sel | **0.4000** | **0.8000** |" in steps
    ratios = section(page, "max F by ratio, tuned for 200 steps")
    assert "| criterion | parameters, 40% | parameters, 60% |" in ratios
    assert "| sel | **0.9000** | **0.8000** |" in ratios


def test_equal_parameters_and_equal_macs_are_apart():
    settings = replace(SMALL, budgets=(BudgetKind.PARAMS, BudgetKind.MACS), criteria=("sel",))
    results = whole(sel=0.8) + [
        result("sel", seed, 0.7, steps=steps, budget="macs") for seed in SEEDS for steps in (0, 200)
    ]
    page = document([Part(settings, results)])
    assert "**0.8000**" in section(page, TITLE)
    assert "**0.7000**" in section(page, TITLE.replace("parameters", "MACs"))
    by_steps = section(page, "max F at 60%, by steps of fine-tuning")
    assert "| parameters, 0 | parameters, 200 | MACs, 0 | MACs, 200 |" in by_steps
    assert "ncomplete" not in section(page, TITLE) + by_steps


@pytest.mark.parametrize(
    ("good", "as_it_was", "tuned"),
    [
        (0.96, "6 of 6: met", "6 of 6: met"),
        (0.945, "6 of 6: met", "0 of 6: missed"),
        (0.93, "0 of 6: missed", "0 of 6: missed"),
    ],
)
def test_repair_is_judged_against_the_unpruned_net_as_it_was_and_tuned(good, as_it_was, tuned):
    found = targets(document([Part(SMALL, whole(repair=good, sel=0.9, l1=0.9))]))
    assert found[6:8] == [as_it_was, tuned]
    is_better = good > 0.94
    assert found[1] == (f"**{good - 0.94:+.5f}**" if is_better else f"{good - 0.94:+.5f}")
    assert found[0] == (f"**{0.94 - good:+.5f}**" if is_better else f"{0.94 - good:+.5f}")


def test_four_metrics_as_good_as_the_tuned_net_are_enough():
    results = whole(repair=0.96, sel=0.9, l1=0.9)
    results = [
        replace(r, scores=r.scores | {"max_f": 0.941, "max_e": 0.941})
        if r.criterion == "repair"
        else r
        for r in results
    ]
    assert targets(document([Part(SMALL, results)]))[6:8] == ["6 of 6: met", "4 of 6: met"]


@pytest.mark.parametrize(
    ("sel", "close", "kept"),
    [
        ((0.97, 0.97, 0.97), "6 of 6: met", "6 of 6: met"),
        ((0.91, 0.91, 0.91), "6 of 6: met", "0 of 6: missed"),
        ((0.80, 0.80, 0.80), "0 of 6: missed", "0 of 6: missed"),
    ],
)
def test_sel_is_judged_against_the_first_and_the_tuned_net(sel, close, kept):
    results = whole(repair=(0.90, 0.92, 0.94), sel=sel, l1=0.5)
    assert targets(document([Part(SMALL, results)]))[8:] == [close, kept]


@pytest.mark.parametrize("fewer", ["sel", "l1", CONTROL])
def test_rows_of_unequal_seeds_are_shown_and_not_judged(fewer):
    results = [
        r for r in whole(repair=0.9, sel=0.97, l1=0.9) if (r.criterion, r.seed) != (fewer, 1)
    ]
    page = document([Part(SMALL, results)])
    table = section(page, TITLE)
    assert "**" not in table
    assert f"Incomplete: {fewer} lacks the seeds 1. No cut is named the best." in table
    assert f"| {fewer} | 2 |".replace(CONTROL, f"*{CONTROL}, tuned*") in table
    assert all(cell.endswith(": incomplete") for cell in targets(page)[8:])
    assert f"**Incomplete:** {len(results)} results, 2 more are to come" in page


def test_a_criterion_that_was_asked_for_and_is_not_there_leaves_the_best_open():
    results = [r for r in whole(repair=0.9, sel=0.8, l1=0.7) if r.criterion != "repair"]
    page = document([Part(SMALL, results)])
    assert "Incomplete: repair is not there. No cut is named the best." in section(page, TITLE)
    assert targets(page)[6:8] == ["incomplete", "incomplete"]
    assert all(cell.endswith(": incomplete") for cell in targets(page)[8:])


def test_another_ratio_that_is_incomplete_leaves_a_complete_one_its_verdict():
    settings = replace(SMALL, ratios=(0.4, 0.6))
    results = [*whole(repair=0.96, sel=0.9, l1=0.8), result("sel", 0, 0.9, ratio=0.4)]
    page = document([Part(settings, results)])
    assert targets(page)[6] == "6 of 6: met"
    assert "ncomplete" not in section(page, TITLE)
    ratios = section(page, "max F by ratio, tuned for 200 steps")
    assert "Incomplete at 'parameters, 40%'" in ratios
    assert "| repair |  | **0.9600** |" in ratios


def test_two_nets_are_too_few_for_a_verdict():
    results = [r for r in whole(repair=0.96, sel=0.9, l1=0.8) if r.seed != 2]
    found = targets(document([Part(replace(SMALL, seeds=(0, 1)), results)]))
    assert [cell.split(": ")[1] for cell in found[6:]] == ["incomplete"] * 4


def test_a_page_of_several_nets_says_which_is_which():
    parts = [
        Part(
            replace(SMALL, net=replace(SMALL.net, width=width)), whole(repair=good, sel=0.9, l1=0.8)
        )
        for width, good in ((0.25, 0.96), (0.5, 0.92))
    ]
    page = document(parts)
    assert "at width 0.25, 0.5 with" in page
    assert re.search(r"^\| width 0.25 \| parameters \| 200 .* 6 of 6: met", page, re.MULTILINE)
    assert re.search(r"^\| width 0.5 \| parameters \| 200 .* 0 of 6: missed", page, re.MULTILINE)
    assert "**0.9600**" in section(page, f"{TITLE}, width 0.25")
    assert "**0.9200**" in section(page, f"{TITLE}, width 0.5")


def test_there_are_no_targets_at_another_ratio():
    settings = replace(SMALL, ratios=(0.5,))
    page = document([Part(settings, [result("sel", 0, 0.8, ratio=0.5)])])
    assert "aimed at" not in page
    assert "## 50% of the parameters removed, tuned for 200 steps" in page


def needs_matplotlib():
    pytest.importorskip("matplotlib", reason="matplotlib (the extra 'plots') is not installed")


def test_the_same_results_draw_the_same_bytes(tmp_path):
    needs_matplotlib()
    from reproduction.plots import draw

    names = [row.criterion.name for row in QUICK.rows]
    results = [
        result(CONTROL, seed, 0.95, steps=steps) for seed in (0, 1) for steps in (0, 200)
    ] + [
        result(name, seed, 0.9 - ratio * 0.1 * k / len(names), ratio=ratio, budget=budget)
        for k, name in enumerate(names)
        for seed in (0, 1)
        for ratio in (0.4, 0.6)
        for budget in ("params", "macs")
    ]
    for name in ("one.svg", "two.svg"):
        draw(Part(QUICK, results), tmp_path / name)
    content = (tmp_path / "one.svg").read_bytes()
    assert content == (tmp_path / "two.svg").read_bytes()
    text = content.decode()
    labels = [row.label for row in QUICK.rows]
    labels += ["S-measure", "unpruned, tuned", "unpruned, as it was"]
    labels += ["share of the parameters removed", "share of the MACs removed"]
    assert [label for label in labels if label not in text] == []
    assert str(tmp_path) not in text


def test_no_two_criteria_are_drawn_alike():
    needs_matplotlib()
    from reproduction.plots import style

    styles = [style(row.criterion.name) for row in QUICK.rows]
    seen = {(one["color"], one.get("linestyle", "-"), one["marker"]) for one in styles}
    assert len(seen) == len(styles)


def test_a_mean_over_fewer_seeds_than_others_have_is_not_drawn(tmp_path):
    needs_matplotlib()
    from matplotlib.axes import Axes

    from reproduction.plots import draw

    ratios = (0.2, 0.4, 0.6)
    results = [result(CONTROL, seed, 0.95) for seed in (0, 1)] + [
        result(name, seed, 0.9, ratio=ratio)
        for name in ("sel", "l1")
        for seed in (0, 1)
        for ratio in ratios
    ]

    def points(results):
        """What is handed to matplotlib, by label."""
        with mock.patch.object(Axes, "plot") as plot, mock.patch.object(Axes, "axhline") as level:
            draw(Part(SMALL, results), tmp_path / "one.svg")
        drawn = {call.kwargs["label"]: call.args for call in plot.call_args_list}
        return drawn | {"level": [call.args[0] for call in level.call_args_list[-1:]]}

    whole = points(results)
    assert whole["sel"] == whole["l1"] == ([*ratios], pytest.approx([0.9] * 3))
    assert whole["level"] == [pytest.approx(0.95)]
    gap = points([r for r in results if (r.criterion, r.seed, r.ratio) != ("l1", 1, 0.4)])
    assert gap["sel"] == whole["sel"]
    np.testing.assert_allclose(gap["l1"][1], [0.9, np.nan, 0.9])
    assert points(results[1:])["level"] == []
