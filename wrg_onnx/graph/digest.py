"""By what a model is known again."""

from __future__ import annotations

import hashlib

from wrg_onnx.graph.export import to_proto
from wrg_onnx.graph.model import Graph


def digest(graph: Graph) -> str:
    """Return the SHA-256 of all that makes up a graph: nodes, attributes, bodies, constants."""
    model, weights = to_proto(graph)
    found = hashlib.sha256(model.SerializeToString(deterministic=True))
    for name, array in sorted(weights.items()):
        found.update(f"{name}\n{array.dtype}\n{array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
