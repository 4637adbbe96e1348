"""Local functions are counted before they are laid in."""

from __future__ import annotations

import onnx
import pytest

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import functions
from wrg_onnx.graph.functions import inline

HEAD = '<ir_version: 8, opset_import: ["" : 17, "own" : 1]>'
OWN = '<domain: "own", opset_import: ["" : 17, "own" : 1]>'


def model_of(main, *bodies):
    """A model that calls functions f0, f1 and so on, given what each does from a to b."""
    text = f"{HEAD} net (float[2] x, bool c) => (float[2] y) {{ {main} }}"
    for number, body in enumerate(bodies):
        text += f"{OWN} f{number} (a) => (b) {{ {body} }}"
    return onnx.parser.parse_model(text)


def test_a_model_without_functions_is_the_same():
    model = model_of("y = Relu(x)")
    assert inline(model, "m") is model


def test_functions_are_laid_in_where_they_are_called():
    model = model_of("h = own.f0(x)  y = own.f0(h)", "t = own.f1(a)  b = Neg(t)", "b = Relu(a)")
    laid = inline(model, "m")
    assert [node.op_type for node in laid.graph.node] == ["Relu", "Neg", "Relu", "Neg"]
    assert len(model.functions) == 2


def test_nodes_are_counted_before_they_are_there(monkeypatch):
    monkeypatch.setattr(functions, "MOST_NODES", 7)
    bodies = (
        "t = own.f1(a)  b = own.f1(t)",
        "t = own.f2(a)  b = own.f2(t)",
        "t = Neg(a)  b = Neg(t)",
    )
    assert len(inline(model_of("y = own.f1(x)", *bodies), "m").graph.node) == 4
    with pytest.raises(ModelError, match=r"'m': .* they would become 8 nodes"):
        inline(model_of("y = own.f0(x)", *bodies), "m")


def test_how_many_there_may_be_depends_on_how_many_the_file_has(monkeypatch):
    monkeypatch.setattr(functions, "FEWEST_NODES", 6)
    monkeypatch.setattr(functions, "TIMES_NODES", 2)
    doubling = ("t = own.f1(a)  b = own.f1(t)", "t = own.f2(a)  b = own.f2(t)", "b = Relu(a)")
    assert len(inline(model_of("y = own.f0(x)", *doubling), "m").graph.node) == 4
    called = "  ".join(f"h{k + 1} = own.f0(h{k})" for k in range(4))
    grows = model_of(f"h0 = Neg(x)  {called}  y = Neg(h4)", *doubling)
    assert len(inline(grows, "m").graph.node) == 18  # of a file of 11
    monkeypatch.setattr(functions, "TIMES_NODES", 1)
    with pytest.raises(ModelError, match=r"become 18 nodes of .* and 11 nodes .* for this file"):
        inline(grows, "m")


def test_their_bytes_are_counted(monkeypatch):
    monkeypatch.setattr(functions, "MOST_BYTES", 2000)
    long = f"t = Neg(a)  {'n' * 700} = Neg(t)  b = Abs({'n' * 700})"
    assert inline(model_of("y = own.f0(x)", long), "m")
    with pytest.raises(ModelError, match=r"6 nodes of \d+ bytes"):
        inline(model_of("h = own.f0(x)  y = own.f0(h)", long), "m")


@pytest.mark.parametrize(
    "bodies",
    [("b = own.f0(a)",), ("b = own.f1(a)", "b = own.f0(a)"),
     ("b = own.f1(a)", "b = own.f2(a)", "t = Neg(a)  b = own.f1(t)")],
)  # fmt: skip
def test_functions_that_call_themselves_are_refused(bodies):
    with pytest.raises(ModelError, match=r"'m': .*'f[01]' calls itself"):
        inline(model_of("y = own.f0(x)", *bodies), "m")


def test_calls_in_bodies_count():
    branch = """b = If(k) <then_branch = t () => (float[2] p) { p = own.f0(a) },
                           else_branch = e () => (float[2] q) { q = Neg(a) }>"""
    with pytest.raises(ModelError, match="calls itself"):
        inline(model_of("y = own.f0(x)", f"k = Constant<value = bool {{1}}>()  {branch}"), "m")


def test_functions_that_call_each_other_in_a_long_row_are_refused():
    count = 3000
    bodies = [*(f"b = own.f{n + 1}(a)" for n in range(count - 1)), "b = Relu(a)"]
    with pytest.raises(ModelError, match="3000 call each other in a row, and 100 are the most"):
        inline(model_of("y = own.f0(x)", *bodies), "m")


def test_two_functions_of_one_name_are_refused():
    model = model_of("y = own.f0(x)", "b = Relu(a)")
    model.functions.append(model.functions[0])
    with pytest.raises(ModelError, match="two of them have the same name"):
        inline(model, "m")
