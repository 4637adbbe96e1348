"""Prune random networks for as long as you like; the first wrong one is kept, as small as it gets.

    python tools/fuzz/networks.py --minutes 60

Each network stands in the main graph, in branches or in a loop, may have normalisations, computed
weights and an input that is added to its output. It is folded, analysed, cut at random and held
against the original with the removed units at zero, by the oracle of the tests and by the
package's own proof; where channels go through normalisations, by the proof alone.
"""

from __future__ import annotations

import argparse
import enum
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from control_networks import (  # noqa: E402 - the tests are no package
    in_branches,
    in_loop,
    is_map,
    is_valid,
    over_a_scan,
    round_a_loop,
)
from strategies import (  # noqa: E402
    analyse,
    assert_identity,
    assert_surgery_is_exact,
    compare,
    draw_alive,
    networks,
    run,
)

from wrg_onnx.channels import Limits  # noqa: E402
from wrg_onnx.errors import ValidationError  # noqa: E402
from wrg_onnx.graph import from_proto, to_message  # noqa: E402
from wrg_onnx.rewrite import apply_plan, fold, plan_slices, prove, run_masked  # noqa: E402

PLACES = ("main graph", "main graph", "branches", "a branch", "loop", "state", "scan")
"""Where a network stands; what is drawn twice stands there twice as often."""

BATCH = 50
"""How many networks are drawn before the clock is looked at."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a network is pruned.

    Attributes:
        place: Where it stands.
        through_norms: Whether channels may go that a normalisation takes its statistics over.
    """

    place: str
    through_norms: bool


class Verdict(enum.Enum):
    """What became of a network that was not cut wrong."""

    CUT = "cut, and right"
    WHOLE = "left whole, since nothing could go or nothing was drawn"
    SILENT = "not provable: nothing that is compared says anything"
    REFUSED = "right, but refused by the proof, on an input that makes much of a rounding"


def check(model: onnx.ModelProto, way: Way, seed: int, share: float) -> Verdict:
    """Prune one network, and hold it against the oracle and the proof."""
    model = placed(model, way.place)
    graph = fold(from_proto(model, name="fuzz"))
    assert_same(model, to_message(graph))
    analysis = analyse(to_message(graph), Limits(through_norms=way.through_norms))
    assert_identity(analysis)
    alive = draw_alive(analysis.units, np.random.default_rng(seed), share)
    if way.through_norms:
        # The oracle of the tests knows no statistics over fewer channels; the proof does.
        plan = plan_slices(analysis.units, alive)
    else:
        is_fixed = isinstance(analysis.graph.inputs[0].shape[0], int)
        plan = assert_surgery_is_exact(analysis, alive, batches=(None,) if is_fixed else (1, 2))
    shapes = {value.name: analysis.shapes[value.name] for value in analysis.graph.inputs}
    pruned = apply_plan(analysis.graph, plan)
    onnx.checker.check_model(to_message(pruned), full_check=is_valid(model))
    reference = run_masked(analysis.graph, plan, shapes)
    if not reference.says_something:
        return Verdict.SILENT
    try:
        found = prove([reference], pruned)
    except ValidationError:
        if way.through_norms:
            raise
        # The oracle found it right: on this input the network makes much of a rounding.
        return Verdict.REFUSED
    assert found.error < 1e-4 or found.rounding is not None
    return Verdict.WHOLE if alive.all() else Verdict.CUT


def placed(model: onnx.ModelProto, place: str) -> onnx.ModelProto:
    """Put a network where it is to stand: by itself, in branches, or in a loop."""
    made: onnx.ModelProto = model
    if place == "branches":
        made = in_branches(model, condition=True, own=True, computed=True)
    elif place == "a branch":
        made = in_branches(model, condition=False, own=False)
    elif place == "loop":
        made = in_loop(model)
    elif place in ("state", "scan") and is_map(model, channels=2):
        around = round_a_loop if place == "state" else over_a_scan
        made = around(model, own=True, stated=True)
    return made


def assert_same(model: onnx.ModelProto, folded: onnx.ModelProto) -> None:
    """Hold a folded network against the one that was drawn."""
    (value,) = model.graph.input
    sizes = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    feeds = {value.name: np.random.default_rng(0).standard_normal(sizes, np.float32)}
    compare(run(model, feeds), run(folded, feeds))


def main() -> None:
    """Draw networks until the time is over, or one of them comes out wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz.onnx")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    last: list[onnx.ModelProto] = []
    kinds: Counter[str] = Counter()
    verdicts: Counter[Verdict] = Counter()

    @settings(
        max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        networks(may_add_input=True),
        st.builds(Way, st.sampled_from(PLACES), st.booleans()),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0.2, 0.5, 0.8, 1.0]),
    )
    def one_batch(model: onnx.ModelProto, way: Way, seed: int, share: float) -> None:
        last[:] = [placed(model, way.place)]
        verdicts[check(model, way, seed, share)] += 1
        kinds[f"{way.place}{', through norms' if way.through_norms else ''}"] += 1

    try:
        while time.monotonic() < end:
            one_batch()
            cut = verdicts[Verdict.CUT]
            print(f"{verdicts.total()} networks, {cut} of them cut, none wrong", flush=True)
        for verdict, count in verdicts.items():
            print(f"{count} {verdict.value}")
        for place, count in sorted(kinds.items()):
            print(f"{count} in the place: {place}")
    except Exception:
        # The last one that ran is the smallest that hypothesis found.
        arguments.keep.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(last[0], arguments.keep)
        print(f"the wrong network is in {arguments.keep}", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
