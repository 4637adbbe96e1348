"""The table of rules."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.channels.answers import ShapeConflictError, Tie
from wrg_onnx.channels.table import Derived, derivation, find_rule, op_rule
from wrg_onnx.channels.table import registered as registered_rules
from wrg_onnx.graph import Node

OURS = {"__name__": "wrg_onnx.channels.rules.mine", "op_rule": op_rule, "derivation": derivation}


@pytest.mark.parametrize(("register", "op"), [("op_rule", "Relu"), ("derivation", "Conv")])
def test_registering_a_rule_twice_is_an_error(register, op):
    with pytest.raises(ValueError, match=rf"'\.{op}' since 1 is registered twice"):
        exec(f"{register}('{op}', since=1)(lambda *_: None)", dict(OURS))  # noqa: S102


def test_an_operator_of_ours_is_nobody_elses():
    with pytest.raises(ValueError, match="there is a rule 'Relu' already, of 'wrg-onnx'"):
        op_rule("Relu", since=99)(lambda _: None)
    with pytest.raises(ValueError, match="there is a rule 'Conv' already, of 'wrg-onnx'"):
        derivation("Conv", since=99)(lambda *_: Derived())


def test_latest_rule_that_fits_the_opset_is_found():
    old, new = (find_rule(Node(0, "s", "Softmax", "", v, (), ())) for v in (12, 13))
    assert (old.__name__, new.__name__) == ("couple_softmax_flattened", "couple_softmax")
    assert find_rule(Node(0, "s", "Attention", "", 22, (), ())) is None
    assert find_rule(Node(0, "s", "Relu", "other", 1, (), ())) is None


def test_every_rule_says_what_it_does():
    listed = list(registered_rules())
    assert listed == sorted(listed, key=lambda entry: entry[:3])
    assert all(entry[3].endswith(".") for entry in listed)


def test_ties_of_unequal_lengths_are_refused():
    with pytest.raises(ShapeConflictError, match="2 positions against 3"):
        Tie(np.arange(2), np.arange(3))
