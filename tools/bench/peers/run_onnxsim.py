"""Prune with onnxsim: `python run_onnxsim.py MODEL OUTPUT sparsity|ratio VALUE`, one JSON line.

``sparsity`` is onnxsim's own knob, the share of each layer's channels. ``ratio`` asks for a share
of the parameters: the sparsity is found by bisection, and only the last call counts as work.
`bench_peers.py` starts it, with the path that it needs.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnx
from onnxsim import (
    apply_structured_pruning,
    apply_structured_pruning_qdq,
    apply_structured_pruning_qoperator,
)

from peers.stopwatch import measure

MOST_SPARSITY = 0.9
"""What wrg-onnx allows as well: a tenth of each layer stays."""

SEARCH_STEPS = 5
SEARCH_S = 60
"""When the search ends with what it has."""


def prune(model: onnx.ModelProto, sparsity: float) -> onnx.ModelProto:
    """Call the functions that match the model's kind of weights."""
    operators = {node.op_type for node in model.graph.node}
    pruned: onnx.ModelProto = apply_structured_pruning(model, sparsity, "l1")
    if "DequantizeLinear" in operators:
        pruned = apply_structured_pruning_qdq(pruned, sparsity)
    if operators & {"QLinearConv", "QLinearMatMul", "QGemm"}:
        pruned = apply_structured_pruning_qoperator(pruned, sparsity)
    return pruned


def parameters(model: onnx.ModelProto) -> int:
    """Count the elements of the initializers and Constant nodes."""
    tensors = list(model.graph.initializer)
    tensors += [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute]
    return sum(int(np.prod(tensor.dims)) for tensor in tensors if len(tensor.dims))


def find_sparsity(model: onnx.ModelProto, ratio: float) -> float:
    """Find the sparsity that removes about this share of the parameters, the most if none does."""
    before = parameters(model)
    end = time.perf_counter() + SEARCH_S
    if 1 - parameters(prune(model, MOST_SPARSITY)) / before <= ratio:
        return MOST_SPARSITY
    low, high = 0.0, MOST_SPARSITY
    for _ in range(SEARCH_STEPS):
        if time.perf_counter() > end:
            break
        middle = (low + high) / 2
        if 1 - parameters(prune(model, middle)) / before < ratio:
            low = middle
        else:
            high = middle
    return high


def main() -> None:
    """Prune, and print what it took."""
    path, output, knob, value = sys.argv[1:]
    start = time.perf_counter()
    is_search = knob == "ratio"
    sparsity = find_sparsity(onnx.load(path), float(value)) if is_search else float(value)
    aside_s = time.perf_counter() - start

    def write(pruned: onnx.ModelProto) -> dict[str, object]:
        onnx.save(pruned, output)
        return {"setting": f"sparsity {sparsity:.3g}"}

    measure(
        lambda: onnx.load(path),
        lambda model: prune(model, sparsity),
        write,
        is_warm=is_search,
        aside_s=aside_s,
    )


if __name__ == "__main__":
    main()
