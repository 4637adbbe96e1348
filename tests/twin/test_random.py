"""Operators that draw: what they draw from, as what, and that a seed repeats it."""

from __future__ import annotations

import pytest
import torch
from onnx import parser

from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import build_twin

# By name: the operator, the mean and the standard deviation of what it draws, and its type.
DRAWS = {
    "normal": ("RandomNormal <mean = 3.0, scale = 2.0, shape = [500, 40]> ()", 3.0, 2.0, "float32"),
    "normal_like": ("RandomNormalLike <mean = -1.0, scale = 0.5> (x)", -1.0, 0.5, "float32"),
    "normal_as_double": ("RandomNormalLike <dtype = 11> (x)", 0.0, 1.0, "float64"),
    "uniform": (
        "RandomUniform <low = -2.0, high = 4.0, shape = [500, 40]> ()", 1.0, 3**0.5, "float32",
    ),
    "uniform_like": ("RandomUniformLike (x)", 0.5, 12**-0.5, "float32"),
    "bernoulli": ("Bernoulli (x)", 0.25, 0.1875**0.5, "float32"),
    "bernoulli_as_integers": ("Bernoulli <dtype = 7> (x)", 0.25, 0.1875**0.5, "int64"),
    "multinomial": ("Multinomial <sample_size = 40> (logits)", 1.0, 2**0.5, "int32"),
}  # fmt: skip


def draw(operator, seed):
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[500, 40] x, float[500, 4] logits) => (float[500, 40] y) {{ y = {operator} }}"""
    twin = build_twin(from_proto(parser.parse_model(text), name="m"))
    # classes 0 and 3 with logarithms that give 2/3 and 1/3
    logits = torch.tensor([2.0, 0.0, 0.0, 1.0]).log().expand(500, 4)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return twin({"x": torch.full((500, 40), 0.25), "logits": logits})["y"]


@pytest.mark.parametrize("name", DRAWS)
def test_operator_draws_what_it_says(name):
    operator, mean, deviation, kind = DRAWS[name]
    y = draw(operator, 0)
    assert y.dtype == getattr(torch, kind)
    assert tuple(y.shape) == (500, 40)
    # 20,000 draws: five standard errors
    assert float(y.double().mean()) == pytest.approx(mean, abs=5 * deviation / 20_000**0.5)
    assert float(y.double().std()) == pytest.approx(deviation, rel=0.04)


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_draws_the_same_again(name):
    operator = DRAWS[name][0]
    torch.testing.assert_close(draw(operator, 1), draw(operator, 1))
    assert not torch.equal(draw(operator, 1), draw(operator, 2))
