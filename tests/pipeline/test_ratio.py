"""The ratio is met by what is written, with the biases that recovery adds."""

from __future__ import annotations

import pytest
from strategies import build, normal

from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion


@pytest.fixture(scope="module")
def model():
    """Return a net of pointwise layers without a bias: each adds one for every 24 weights."""
    weights = {"w0": normal(24, 3, 1, 1), "w4": normal(1, 24, 1, 1)}
    text = "a0 = Conv(x, w0)  b0 = Relu(a0)"
    for n in (1, 2, 3):
        weights[f"w{n}"] = normal(24, 24, 1, 1, seed=n) / 5
        text += f"  a{n} = Conv(b{n - 1}, w{n})  b{n} = Relu(a{n})"
    text = f"net (float[1,3,16,16] x) => (float[1,1,16,16] y) {{ {text}  y = Conv(b3, w4) }}"
    return build(text, weights)


@pytest.mark.parametrize("criterion", [Criterion.REPAIR, Criterion.L1], ids=lambda c: c.name)
def test_added_biases_count(model, criterion):
    config = PruneConfig(
        0.4, criterion=criterion, recover=Recovery.RIDGE, data=DataOptions(samples=4),
        evaluate=False,
    )  # fmt: skip
    report = prune(model, None, config).report
    assert report.recovery.added > 20
    assert report.reached == 1 - report.after.parameters / report.before.parameters
    assert 0.4 - 0.005 < report.reached < 0.4 + 0.04


def test_a_budget_of_macs_knows_no_bias(model):
    config = PruneConfig(
        0.4, budget=BudgetKind.MACS, recover=Recovery.RIDGE, data=DataOptions(samples=4),
        evaluate=False,
    )  # fmt: skip
    assert abs(prune(model, None, config).report.reached - 0.4) < 0.02
