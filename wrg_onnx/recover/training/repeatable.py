"""Make torch repeat itself, and leave it afterwards as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Ask torch for deterministic algorithms and seed its global generator.

    Whoever meets an operator that has no deterministic algorithm may switch them off inside. The
    generators' states and the settings are restored at the end.
    """
    strict = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(_WORKSPACE)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # cuBLAS reads it when it starts, and is not deterministic without it.
        os.environ.setdefault(_WORKSPACE, ":4096:8")
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=lenient)
            if workspace is None:
                del os.environ[_WORKSPACE]


def lacks_determinism(error: RuntimeError) -> bool:
    """Tell whether torch refuses an operator because it cannot repeat it."""
    return "determinis" in str(error).lower()
