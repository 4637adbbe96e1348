"""Which operator one without a rule may be meant to be."""

from __future__ import annotations

import pytest

from wrg_onnx.channels.similar import similar_operator

KNOWN = {("", "Relu"), ("", "Gelu"), ("com.microsoft", "Gelu"), ("com.microsoft", "FusedConv")}


@pytest.mark.parametrize(
    ("domain", "op", "meant"),
    [
        ("own", "Relu6", "Relu"),
        ("own", "relu", "Relu"),
        ("own", "Gelu", "Gelu"),
        ("com.microsoft", "GeluX", "com.microsoft.Gelu"),
        ("own", "FusedConv", "com.microsoft.FusedConv"),
    ],
)
def test_a_known_operator_of_a_like_name_is_asked_for(domain, op, meant):
    assert similar_operator(domain, op, KNOWN) == f" (did you mean '{meant}'?)"


@pytest.mark.parametrize(("domain", "op"), [("own", "Mystery"), ("", "Relu")])
def test_nothing_is_asked_of_an_operator_like_no_other_or_known_later_on(domain, op):
    assert similar_operator(domain, op, KNOWN) == ""
