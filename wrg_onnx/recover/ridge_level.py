"""Ridge reconstruction of one level of layers: weights whose output is near the original's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from wrg_onnx.graph import Array, Graph
from wrg_onnx.recover.layers import LinearLayer
from wrg_onnx.recover.measured import Measured, sharing_patches
from wrg_onnx.recover.outcome import LayerFit, Solved
from wrg_onnx.recover.ridge_problem import GRAM_BYTES, Problem
from wrg_onnx.recover.walk import Walk


def solve_level(
    walk: Walk,
    measured: Measured,
    layers: Sequence[LinearLayer],
    graph: Graph,
    constants: Mapping[str, Array],
) -> Solved:
    """Solve for the weights and biases whose output is nearest to the original's.

    Args:
        walk: At the level of the layers.
        measured: What the layers made in the original, at which places.
        layers: Layers of one level.
        graph: The pruned model, with the weights and biases as the cut left them.
        constants: The weights and biases as they are, by name.

    Returns:
        The new weights and biases. A layer whose output is the original's, or whose rows are not
        those of the original, keeps its own.

    Raises:
        StatisticsError: If an input or output is not finite; it names the layer.
    """
    new: dict[str, Array] = {}
    fits: list[LayerFit] = []
    left = Counter[str]()
    known = [layer for layer in layers if layer.target in measured.layers]
    problems = [
        Problem(members, graph, constants, measured, walk)
        for members in sharing_patches(known, graph)
    ]
    problems = [problem for problem in problems if problem.is_reached()]
    done = set()
    for number, problem in enumerate(problems):
        if problem.is_wide and (found := problem.finish_wide(new)):
            fits += found
            done.add(number)
    problems = [problem for number, problem in enumerate(problems) if number not in done]
    for part in _passes(problems):
        names = list(dict.fromkeys(name for problem in part for name in problem.read))
        for index, values in enumerate(walk.seen(names)):
            for problem in part:
                problem.add(index, values)
        for problem in part:
            reason = problem.why_left()
            if reason:
                left[reason] += len(problem.layers)
            else:
                fits += problem.finish(new)
    return Solved(new, tuple(fits), left)


def _passes(problems: Sequence[Problem]) -> Iterator[list[Problem]]:
    """Divide problems so that the Gram matrices of one pass fit their bound."""
    part: list[Problem] = []
    size = 0
    for problem in problems:
        if part and size + problem.gram_bytes > GRAM_BYTES:
            yield part
            part, size = [], 0
        part.append(problem)
        size += problem.gram_bytes
    if part:
        yield part
