"""A dead end that has no twin does not stop the gradient."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from strategies import build  # noqa: E402

from wrg_onnx.errors import UnsupportedOperatorError  # noqa: E402
from wrg_onnx.graph.load import from_proto  # noqa: E402
from wrg_onnx.twin import build_twin  # noqa: E402

X = torch.tensor([[1.0, -2.0, 3.0]])


def twin_of(text, **how):
    model = build(f"net (float[1,3] x) => {text}", domains=("own",))
    return build_twin(from_proto(model, name="m"), **how)


def test_a_sequence_is_replaced_by_what_it_is_made_of():
    twin = twin_of("(seq(float[]) s) { a = Abs(x)  n = Neg(x)  s = SequenceConstruct(a, n) }")
    assert twin.output_names == ("a", "n")
    assert twin({"x": X})["n"].tolist() == [[-1, 2, -3]]


def test_an_output_counts_once_though_a_sequence_holds_it_too():
    twin = twin_of("(float[1,3] a, seq(float[]) s) { a = Abs(x)  s = SequenceConstruct(a, a) }")
    assert twin.output_names == ("a",)


def test_integers_without_a_twin_are_replaced_by_what_leads_to_them():
    twin = twin_of("(float[1,3] a, int64[1] k) { a = Abs(x)  n = Neg(a)  k = own.Label(n) }")
    assert twin.output_names == ("a", "n")


def test_a_tensor_behind_a_sequence_is_lost_with_it():
    text = """(float[1,3] a, int64[1,3] k) { a = Abs(x)  s = SequenceConstruct(a, x)
        c = ConcatFromSequence<axis = 0>(s)  k = Cast<to = 7>(c) }"""
    assert twin_of(text).output_names == ("a",)


def test_what_nobody_returns_needs_no_twin():
    assert twin_of("(float[1,3] a) { a = Abs(x)  d = own.Dead(a) }").output_names == ("a",)


def test_floats_without_a_twin_are_refused():
    with pytest.raises(UnsupportedOperatorError, match=r"own\.Mystery"):
        twin_of("(float[1,3] y) { a = Abs(x)  y = own.Mystery(a) }")


def test_an_output_that_is_not_asked_for_needs_no_twin():
    text = "(float[1,3] a, float[1,3] y) { a = Abs(x)  y = own.Mystery(a) }"
    twin = twin_of(text, outputs=["a"])
    assert twin.output_names == ("a",)
    np.testing.assert_array_equal(twin({"x": X})["a"], X.abs())


def test_a_branch_that_returns_a_sequence_is_lost():
    text = """(float[1,3] a, seq(float[]) s) { a = Abs(x)  m = ReduceMax<keepdims = 0>(x)
        c = Cast<to = 9>(m)  s = If(c) <
            then_branch = t () => (seq(float[]) u) { u = SequenceConstruct(x) },
            else_branch = e () => (seq(float[]) v) { v = SequenceConstruct(x, x) }> }"""
    assert twin_of(text).output_names == ("a", "c")
