"""How many values tensors may have: a few bytes may ask for more than any memory holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from wrg_onnx.errors import ModelError
from wrg_onnx.graph.model import Shape

MOST_VALUES = 1 << 32
"""A tensor with more is none that a model computes."""

MOST_FED = 1 << 28
"""The same for one that is fed. Of numbers drawn at random there are 8 bytes each, at first."""

LEAST_ITEM_BYTES = 4
"""How many bytes a value has at least where its type is not looked at."""


def check_values(shapes: Mapping[str, Shape], name: str) -> None:
    """Refuse tensors that no memory holds, before anything is made as large as they are.

    Args:
        shapes: A shape by tensor name.
        name: What messages call the model.

    Raises:
        ModelError: If one has more than ``MOST_VALUES``.
    """
    for tensor, shape in shapes.items():
        if math.prod(shape) > MOST_VALUES:
            raise _refusal(name, tensor, shape, f"{MOST_VALUES} are the most that memory is for")


def check_room(shapes: Mapping[str, Shape], name: str) -> None:
    """Refuse to run what makes a tensor larger than the memory that is free.

    Args:
        shapes: A shape by tensor name.
        name: What messages call the model.

    Raises:
        ModelError: If one is.
    """
    check_values(shapes, name)
    tensor = max(shapes, key=lambda each: math.prod(shapes[each]), default=None)
    if tensor is None:
        return
    needed, free = LEAST_ITEM_BYTES * math.prod(shapes[tensor]), free_bytes()
    if free is not None and needed > free:
        why = f"{needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free"
        raise _refusal(name, tensor, shapes[tensor], why)


def check_fed(shapes: Mapping[str, Shape], name: str) -> None:
    """Refuse inputs that are too large to be drawn.

    Args:
        shapes: A shape by input.
        name: What messages call the model.

    Raises:
        ModelError: If one has more than ``MOST_FED`` values.
    """
    for tensor, shape in shapes.items():
        if math.prod(shape) > MOST_FED:
            why = f"{MOST_FED} are the most that memory is set aside for"
            raise _refusal(name, tensor, shape, f"{why}; --size or --shape gives another size")


def _refusal(name: str, tensor: str, shape: Shape, why: str) -> ModelError:
    sizes = "x".join(map(str, shape))
    return ModelError(f"'{name}': '{tensor}' would have {math.prod(shape)} values ({sizes}): {why}")


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
