"""What does not fit into memory is refused before it starts."""

from __future__ import annotations

from pathlib import Path

from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Graph, flatten, is_bfloat16

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


def free_bytes() -> int | None:
    """Return how much memory a process may still take; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        table = dict(line.split(":", 1) for line in lines if ":" in line)
        free = int(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    # Of a container the least counts: what the machine has, or what the container may take.
    try:
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        stat = {name: int(count) for name, count in (line.split() for line in lines)}
    except (OSError, ValueError):  # no container, or no limit
        return free
    # Pages of files that were read count as used, and go when memory is asked for.
    used -= max(0, stat.get("file", 0) - stat.get("shmem", 0))
    return max(0, min(free, most - used))
