"""Cut models by weights alone and measure how exactly the pruned graph follows the masked original.

    python tools/bench/equivalence.py MODEL.onnx [MODEL.onnx ...] [--ratios 0.3,0.6]

Columns: parameters removed; the largest difference over outputs and layers as `prune` reports it;
the outputs' difference in ONNX Runtime (float32); the masked original's own difference when ONNX
Runtime optimises it, which is rounding; and the outputs' difference in float64, through the torch
twin. Differences are relative to the largest value of the output on a random input.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from wrg_onnx.calibrate import measure_weights
from wrg_onnx.errors import UnsupportedOperatorError
from wrg_onnx.factors import L1, Statistics
from wrg_onnx.graph import Array, Graph, open_session, relative_difference
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import BudgetKind, DataOptions
from wrg_onnx.rewrite import apply_plan, compare_with, mask_consumers, plan_slices, run_masked
from wrg_onnx.select import Candidates, Criterion, Scope, score, select

ROW = "{:<28}{:>7}{:>10}{:>10}{:>10}{:>10}"


def difference(reference: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """Return the largest difference relative to the output's largest value."""
    return max(
        (relative_difference(values, found[name]) for name, values in reference.items()),
        default=0.0,
    )


def in_float64(graph: Graph, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run a graph in float64."""
    from wrg_onnx.twin import build_twin

    twin = build_twin(graph, trainable=False).double().eval()
    tensors = {name: torch.from_numpy(array.copy()) for name, array in feeds.items()}
    exact = {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}
    with torch.no_grad():
        return {name: tensor.numpy() for name, tensor in twin(exact).items()}


def measure(path: Path, ratio: float) -> tuple[str, ...]:
    """Prune one model and return its row."""
    model = analyse(path, DataOptions())
    units = model.units
    statistics = Statistics({L1: measure_weights(L1, units)})
    scores = score(Criterion.L1, statistics, units.count, np.random.default_rng(0))
    candidates = Candidates(units.removable, units.group)
    budget = model.budget(BudgetKind.PARAMS)
    selection = select(candidates, scores.values, budget, ratio, Scope.GLOBAL)
    plan = plan_slices(units, selection.alive)
    reference = run_masked(model.graph, plan, model.input_shapes)
    pruned = apply_plan(model.graph, plan)
    equivalence = compare_with(reference, pruned)
    masked = mask_consumers(model.graph, plan)
    plain = open_session(masked, exact=True).run(reference.feeds)
    ours = open_session(pruned, exact=True).run(reference.feeds)
    optimised = open_session(masked).run(reference.feeds)
    try:
        exact = difference(in_float64(masked, reference.feeds), in_float64(pruned, reference.feeds))
        float64 = f"{exact:.1e}"
    except UnsupportedOperatorError:
        float64 = "no twin"
    return (
        path.stem,
        f"{selection.ratio:.1%}",
        f"{equivalence.error:.1e}",
        f"{difference(plain, ours):.1e}",
        f"{difference(plain, optimised):.1e}",
        float64,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--ratios", default="0.3,0.6")
    options = parser.parse_args()
    print(ROW.format("model", "removed", "reported", "outputs", "rounding", "float64"))
    for path in options.models:
        for ratio in options.ratios.split(","):
            print(ROW.format(*measure(path, float(ratio))), flush=True)


if __name__ == "__main__":
    main()
