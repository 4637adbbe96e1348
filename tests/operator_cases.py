"""One operator between convolutions: the cases that the tests of every operator family share.

Each case stands between two 1 x 1 convolutions ``a`` and ``b`` that make 8 channels each, and a
convolution that consumes ``y``. ``free`` counts the filters of ``a`` that must be removable, so
that no case passes because nothing is ever cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    analyse,
    assert_identity,
    assert_surgery_is_exact,
    build,
    draw_alive,
    normal,
    repeatable,
    whole,
)

from wrg_onnx.channels import mac_terms, parameter_terms, total_cost
from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation


@dataclass(frozen=True)
class Case:
    name: str
    body: str
    opset: int = 17
    free: int = 8
    y: tuple[int, ...] = (8,)  # channels of y, then of further consumed tensors y1, y2
    consts: dict = field(default_factory=dict)
    spare: tuple[str, ...] = ()  # constants that the oracle leaves alone (divisors)
    zeros: dict = field(default_factory=dict)  # constants whose zero is another number
    domains: tuple[str, ...] = ()
    consumer: str = "conv"
    batch: str = "1"


def each_case(cases):
    """Run a test on every case, under its name."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def ints(*values):
    return np.array(values, np.int64)


def pointwise(op, opset=17, **attributes):
    text = f" <{', '.join(f'{k} = {v}' for k, v in attributes.items())}>" if attributes else ""
    return Case(f"{op}-{opset}", f"y = {op}{text}(a)", opset)


def network(case):
    body = case.body
    lines = ["a = Conv(x, wa, ba)", "b = Conv(x, wb, bb)"]
    weights = {
        "wa": normal(8, 3, 1, 1), "ba": normal(8, seed=3),
        "wb": normal(8, 3, 1, 1, seed=1), "bb": normal(8, seed=4), **case.consts,
    }  # fmt: skip
    if "wg" in case.consts:
        lines.append("g = Conv(x, wg)")
    if "wh" in case.consts:
        lines.append("h = Conv(x, wh)")
    if "x2" in body:
        lines.append("x1 = ReduceMean<axes = [1]>(x)  x2 = Tile(x1, sp)")
    outputs = []
    for number, channels in enumerate(case.y):
        suffix = str(number) if number else ""
        weights[f"wz{suffix}"] = normal(2, channels, 1, 1)
        outputs.append(f"float[o0,o1,o2{suffix},o3{suffix}] out{suffix}")
    lines.append(body)
    for number in range(len(case.y)):
        suffix = str(number) if number else ""
        lines.append(f"out{suffix} = Conv(y{suffix}, wz{suffix})")
    text = f"net (float[{case.batch},3,6,6] x) => ({', '.join(outputs)}) {{ {' '.join(lines)} }}"
    return build(text, weights, opset=case.opset, ir=7, domains=case.domains)


def assert_prunes_exactly(case):
    """Hold random removals against the original with the removed units at zero."""
    analysis = analyse(network(case))
    reasons = analysis.reasons("wa", 0)
    assert analysis.removable("wa", 0).sum() == case.free, reasons
    assert_identity(analysis)

    @settings(repeatable, max_examples=8)
    @given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.2, 0.5, 0.9, 1.0]))
    def check(seed, share):
        alive = draw_alive(analysis.units, np.random.default_rng(seed), share)
        batches = (1, 2) if case.batch == "N" else (None,)
        assert_surgery_is_exact(
            analysis, alive, spare=case.spare, zeros=case.zeros, batches=batches
        )

    check()


def assert_own_validation_accepts(case):
    """Let the package's own proof judge one random removal."""
    analysis = analyse(network(case))
    alive = draw_alive(analysis.units, np.random.default_rng(1), 0.7)
    plan = plan_slices(analysis.units, alive)
    pruned = apply_plan(analysis.graph, plan)
    shapes = {v.name: analysis.shapes[v.name] for v in analysis.graph.inputs}
    assert validate_translation(analysis.graph, pruned, plan, shapes).error < 1e-4


def assert_costs_follow(case):
    """Hold the cost that is foretold for one random removal against that of the pruned model."""
    analysis = analyse(network(case))
    alive = draw_alive(analysis.units, np.random.default_rng(1), 0.7)
    pruned = analyse(whole(apply_plan(analysis.graph, plan_slices(analysis.units, alive))))
    everything = np.ones(pruned.units.count, bool)
    for count in (mac_terms, parameter_terms):
        foretold = total_cost(count(analysis.units), alive)
        assert foretold == total_cost(count(pruned.units), everything)
