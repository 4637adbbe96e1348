"""Prune with wrg-onnx, no proof: `python run_wrg.py MODEL OUTPUT RATIO` prints one JSON line.

The stages of `wrg-onnx prune --criterion l1`, timed apart from parsing and writing the file. The
ratio is the wanted one, or the most that the model allows. `bench_peers.py` starts it, with the
path that it needs.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from peers.stopwatch import measure
from wrg_onnx.calibrate import measure_weights
from wrg_onnx.factors import L1, Statistics
from wrg_onnx.graph import Graph, load, save
from wrg_onnx.graph.message import without_weights
from wrg_onnx.pipeline.analyse import analyse_graph
from wrg_onnx.pipeline.config import BudgetKind, DataOptions
from wrg_onnx.pipeline.input_shapes import concrete_shapes
from wrg_onnx.rewrite import apply_plan, plan_slices
from wrg_onnx.select import Candidates, Criterion, Scope, largest_ratio, score, select

FLOOR = 0.1


def prune(graph: Graph, ratio: float) -> tuple[Graph, float, float]:
    """Run the pipeline's stages.

    Returns:
        The pruned graph, the ratio that was asked of it and the largest that is possible.
    """
    model = analyse_graph(graph, concrete_shapes(graph, DataOptions()))
    candidates = Candidates(model.units.removable, model.units.group, FLOOR)
    budget = model.budget(BudgetKind.PARAMS)
    # Rounded down, so that the command accepts it too.
    most = math.floor(1000 * largest_ratio(candidates, budget)) / 1000
    wanted = min(ratio, most)
    statistics = Statistics({L1: measure_weights(L1, model.units)})
    rng = np.random.default_rng(0)
    scores = score(Criterion.L1, statistics, model.units.count, rng)
    selection = select(candidates, scores.values, budget, wanted, Scope.GLOBAL)
    pruned = apply_plan(model.graph, plan_slices(model.units, selection.alive))
    without_weights(pruned)  # what the peers' calls return
    return pruned, wanted, most


def main() -> None:
    """Prune, and print what it took."""
    path, output, ratio = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

    def write(result: tuple[Graph, float, float]) -> dict[str, object]:
        pruned, wanted, most = result
        save(pruned, output, force=True)
        return {"ratio": wanted, "possible": most, "setting": f"ratio {wanted:g}"}

    measure(
        lambda: load(path),  # the weights are not read by it, but by the work
        lambda graph: prune(graph, ratio),
        write,
    )


if __name__ == "__main__":
    main()
