"""The modules of the tools are scripts beside each other, as `python tools/bench/...` sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

sys.path[:0] = [
    *(str(ROOT / "tools" / name) for name in ("bench", "experiments", "fuzz")),
    str(ROOT / "tools"),
    str(ROOT),
]


@pytest.fixture
def one_thread():
    """Let torch compute on one thread: what it sums up does not depend on the machine then."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
