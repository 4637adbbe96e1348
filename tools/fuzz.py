"""Prune random networks for as long as you like; the first wrong one is kept, as small as it gets.

    python tools/fuzz.py --minutes 60

Each network is analysed, cut at random and held against the original with the removed units at
zero, by the oracle of the tests and by the package's own proof.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from strategies import (  # noqa: E402 - the tests are no package
    analyse,
    assert_identity,
    assert_surgery_is_exact,
    draw_alive,
    networks,
)

from wrg_onnx.rewrite import apply_plan, validate_translation  # noqa: E402

BATCH = 200
"""How many networks are drawn before the clock is looked at."""


def check(model: onnx.ModelProto, seed: int, share: float) -> bool:
    """Prune one network; tell whether anything was removed."""
    analysis = analyse(model)
    assert_identity(analysis)
    alive = draw_alive(analysis.units, np.random.default_rng(seed), share)
    is_fixed = isinstance(analysis.graph.inputs[0].shape[0], int)
    plan = assert_surgery_is_exact(analysis, alive, batches=(None,) if is_fixed else (1, 2))
    shapes = {value.name: analysis.shapes[value.name] for value in analysis.graph.inputs}
    pruned = apply_plan(analysis.graph, plan)
    assert validate_translation(analysis.graph, pruned, plan, shapes).error < 1e-4
    return not alive.all()


def main() -> None:
    """Draw networks until the time is over, or one of them comes out wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz.onnx")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    drawn = cut = 0
    last: list[onnx.ModelProto] = []

    @settings(
        max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(networks(), st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.5, 0.8, 1.0]))
    def one_batch(model: onnx.ModelProto, seed: int, share: float) -> None:
        nonlocal drawn, cut
        last[:] = [model]
        cut += check(model, seed, share)
        drawn += 1

    try:
        while time.monotonic() < end:
            one_batch()
            print(f"{drawn} networks, {cut} of them cut, none wrong", flush=True)
    except AssertionError:
        # The last one that ran is the smallest that hypothesis found.
        arguments.keep.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(last[0], arguments.keep)
        print(f"the wrong network is in {arguments.keep}", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
