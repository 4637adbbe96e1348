"""Weights as the file will hold them: those of float16 train in float32, and are judged rounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from wrg_onnx.twin import Twin


@contextmanager
def as_written(twin: Twin, half_weights: frozenset[str]) -> Iterator[None]:
    """Round weights for a while to what the file can hold.

    Args:
        twin: Its parameters are changed, and brought back in the end.
        half_weights: The names of those that are float16 in the file.
    """
    if not half_weights:
        yield
        return
    exact = copied(twin)
    with torch.no_grad():
        for name, parameter in twin.parameters_by_name().items():
            if name in half_weights:
                parameter.copy_(parameter.half())
    try:
        yield
    finally:
        twin.load_state_dict(exact)


def copied(twin: Twin) -> dict[str, Tensor]:
    """Return a copy of what a twin holds."""
    return {name: value.detach().clone() for name, value in twin.state_dict().items()}
