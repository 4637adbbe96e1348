"""Judge one pruned file: `python judge.py ORIGINAL PRUNED [CHECK.py]` prints one JSON line.

CHECK.py, a module with ``check``, ``feeds`` and ``run``, replaces the small check in ``masked.py``.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx

TOLERANCE = 1e-4


def load_check(path: str | None) -> ModuleType:
    """Import the check from a file, the repository's own by default."""
    location = Path(path) if path else Path(__file__).with_name("masked.py")
    spec = importlib.util.spec_from_file_location("the_check", location)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rounding(check: ModuleType, masked: onnx.ModelProto) -> float:
    """Measure how far the masked original moves when its input does by 2^-22 of itself."""
    signs = np.random.default_rng(0)
    feeds = check.feeds(masked)
    moved = {
        name: (array * (1 + signs.choice([-1, 1], array.shape) * 2.0**-22)).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for name, array in feeds.items()
    }
    worst = 0.0
    for one, other in zip(check.run(masked, feeds), check.run(masked, moved), strict=True):
        if one.dtype.kind == "f" and one.size:
            worst = max(worst, float(np.abs(one - other).max() / (np.abs(one).max() + 1e-12)))
    return worst


def main() -> None:
    """Judge, and print the verdict."""
    original, pruned, *rest = sys.argv[1:]
    check = load_check(rest[0] if rest else None)
    masked = onnx.load(original)  # the check zeroes in it what was removed
    verdict: dict[str, Any] = check.check(masked, onnx.load(pruned))
    error = verdict.get("err")
    if error is not None and error > TOLERANCE:
        verdict["rounding"] = rounding(check, masked)
    print(json.dumps(verdict))


if __name__ == "__main__":
    main()
