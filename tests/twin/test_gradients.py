"""The twin's gradients against finite differences, in float64, operator by operator."""

from __future__ import annotations

import pytest
import torch
from gradient_cases import CASES

from wrg_onnx.graph.model import Node
from wrg_onnx.twin import lookup, registered

# By cause, those of which no gradient is checked here.
WITHOUT = {
    "it gives booleans, integers or bits": (
        "And", "ArgMax", "ArgMin", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr",
        "BitwiseXor", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less",
        "LessOrEqual", "NonMaxSuppression", "NonZero", "Not", "Or", "Shape", "Size", "Xor",
    ),
    "it is flat between its steps": ("Ceil", "Floor", "Hardmax", "Round", "Sign"),
    "it draws at random: test_random.py": (
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    ),
    "it is made of sizes and numbers": (
        "BlackmanWindow", "ConstantOfShape", "EyeLike", "HammingWindow", "HannWindow",
        "MelWeightMatrix", "Range",
    ),
    "its body has the gradients: test_control.py": ("If", "Loop", "Scan"),
    "test_recurrent.py checks it": ("GRU", "LSTM", "RNN"),
    "it passes the gradient through a rounding on purpose: test_dequantise.py": (
        "DynamicQuantizeLinear", "FakeQuantise",
    ),
    "it reads integers": ("StandFor",),
}  # fmt: skip


OPEN = ("", "wrg_onnx")  # the domains of those with a cause


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator_has_the_gradients_of_its_function(case):
    names = tuple("" if value is None else f"x{i}" for i, value in enumerate(case.inputs))
    outputs = tuple(f"y{i}" for i in range(case.outputs))
    node = Node(0, "node", case.op, case.domain, case.version, names, outputs, case.attributes)
    entry = lookup(case.domain, case.op, case.version)
    assert entry is not None

    def run(*values):
        result = entry.function(node, *values)
        results = (result,) if isinstance(result, torch.Tensor) else result
        return tuple(value for value in results[: case.outputs] if value.requires_grad)

    made = run(*case.inputs)
    assert made
    assert {value.dtype for value in made} == {torch.float64}
    assert torch.autograd.gradcheck(run, case.inputs)


def test_every_operator_has_a_case_or_a_cause():
    checked = {(case.domain, case.op, lookup(case.domain, case.op, case.version)) for case in CASES}
    causes = {op for ops in WITHOUT.values() for op in ops}
    entries = [
        (domain, op, since, lookup(domain, op, since))
        for domain, op, since in registered()
        if not domain.startswith("test.")  # other tests register their own
    ]
    open_ones = [
        (domain, op, since)
        for domain, op, since, entry in entries
        if (domain, op, entry) not in checked and (domain not in OPEN or op not in causes)
    ]
    assert not open_ones


def test_no_operator_has_both_a_case_and_a_cause():
    causes = [op for ops in WITHOUT.values() for op in ops]
    assert len(causes) == len(set(causes))
    assert not set(causes) & {case.op for case in CASES if case.domain in OPEN}
    assert set(causes) <= {op for domain, op, _ in registered() if domain in OPEN}
