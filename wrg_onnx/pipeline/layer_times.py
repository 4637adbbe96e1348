"""What each layer of two models takes: how they are run for that, and what their files say."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels import node_macs, random_feeds
from wrg_onnx.files import scratch_folder
from wrg_onnx.graph import Graph, fit_to_kernels, save
from wrg_onnx.latency import Timing
from wrg_onnx.latency.fresh import Task, check_threads, find_places, write_feeds
from wrg_onnx.latency.profile import Anatomy, SideBySide, profile_models, side_by_side
from wrg_onnx.pipeline.analyse import Model, analyse_graph
from wrg_onnx.progress import Progress, silent

PROFILED = "cpu"
"""Where a profile is taken: elsewhere ONNX Runtime tells when work was asked for, not when it was
done, or compiles several layers to one."""


def profile_pair(
    model: Model, pruned: Graph, timing: Timing, seed: int, progress: Progress = silent
) -> SideBySide:
    """Run a model and what became of it under ONNX Runtime's profiler, in turns, on the CPU.

    Args:
        model: The original, analysed at the shapes that both are run at.
        pruned: What became of it.
        timing: How long.
        seed: Of the input, and of the order in each round.
        progress: Told how many rounds are done.

    Raises:
        ModelError: If ONNX Runtime refuses a model, or a process dies.
        DataError: If ONNX Runtime fails on the inputs.
    """
    rng = np.random.default_rng(seed)
    shapes = model.input_shapes
    (place,) = find_places(PROFILED)
    with scratch_folder() as folder:
        feeds = folder / "feeds.npz"
        write_feeds(feeds, random_feeds(model.graph, shapes, rng))
        tasks = []
        for label, graph in (("original", model.graph), ("pruned", pruned)):
            file = folder / f"{label}.onnx"
            save(graph, file)
            tasks.append(Task(label, file, feeds, place, check_threads(None), shapes))
        found = profile_models(tasks, folder, timing, rng, progress)
    after = anatomy_of(analyse_graph(fit_to_kernels(pruned), shapes))
    return side_by_side(found["original"], anatomy_of(model), found["pruned"], after)


def anatomy_of(model: Model) -> Anatomy:
    """Say what a file tells of its nodes at the shapes that it was analysed at."""
    return Anatomy(
        nodes=model.graph.nodes,
        macs=node_macs(model.units),
        shapes={name: axes.shape for name, axes in model.units.axes.items()},
    )
