"""What does not fit into memory is refused before it starts."""

from __future__ import annotations

from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Graph, flatten, is_bfloat16
from wrg_onnx.graph.capacity import free_bytes

SESSION_COPIES = 1
"""How often a run holds a model's weights at least where ONNX Runtime computes as deployed: it
brings them into the order that its kernels like."""

TWIN_COPIES = 2
"""The same where the criterion asks for gradients: the session, and the twin."""

TRAINING_COPIES = 5
"""The same where weights are trained: the session, the weights, a gradient and AdamW's two moments
of each."""


def check_memory(graph: Graph, copies: int, what: str) -> None:
    """Refuse what holds all weights of a model in memory where they do not fit.

    Args:
        graph: The model.
        copies: How often it holds them at least.
        what: What does, for the message.

    Raises:
        UsageError: If more memory is needed than is free.
    """
    needed = copies * run_bytes(graph)
    free = free_bytes()
    if free is not None and needed > free:
        raise UsageError(
            f"{what} holds the weights of '{graph.name}' in memory {copies} "
            f"{'time' if copies == 1 else 'times'} or more, {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free: --criterion l1 --recover none --no-evaluate reads "
            "them one after another"
        )


def run_bytes(graph: Graph) -> int:
    """Return how many bytes the weights of a model have where it is run."""
    forms = flatten(graph).graph.constants.forms.values()
    doubled = sum(form.nbytes for form in forms if is_bfloat16(form.dtype)) if graph.widened else 0
    return doubled + sum(form.nbytes for form in forms)
