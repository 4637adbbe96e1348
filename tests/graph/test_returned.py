"""What a run returns, as arrays by name."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build

from wrg_onnx.graph import open_session, origins
from wrg_onnx.graph.load import from_proto
from wrg_onnx.graph.returned import is_element, lay_out

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def run(text, **how):
    model = build(f"net (float[2,3] x) => {text}", domains=("ai.onnx.ml",))
    model.opset_import[1].version = 3
    return open_session(from_proto(model, name="m"), **how).run({"x": X})


def test_a_sequence_is_its_elements():
    found = run("(seq(float[]) s) { n = Neg(x)  s = SequenceConstruct(x, n) }")
    assert list(found) == ["s[0]", "s[1]"]
    np.testing.assert_array_equal(found["s[1]"], -X)


def test_a_sequence_of_maps_is_a_table_with_its_keys():
    labels = 'classlabels_strings = ["b", "c", "a"]'
    found = run(f"(seq(map(string, float)) z) {{ z = ai.onnx.ml.ZipMap<{labels}>(x) }}")
    np.testing.assert_array_equal(found["z"], X[:, [2, 0, 1]])
    assert found["z[keys]"].tolist() == ["a", "b", "c"]


def test_an_inner_sequence_may_be_asked_for():
    text = "(float[2,3] y) { s = SequenceConstruct(x, x)  y = ConcatFromSequence<axis = 0>(s) }"
    assert sorted(run(text, outputs=["s", "y"])) == ["s[0]", "s[1]", "y"]


def test_maps_with_other_keys_are_laid_out_one_by_one():
    found = lay_out(["m"], [[{1: 2.0}, {2: 3.0}]])
    assert {name: array.tolist() for name, array in found.items()} == {
        "m[0]": [2.0], "m[0][keys]": [1], "m[1]": [3.0], "m[1][keys]": [2],
    }  # fmt: skip


def test_nothing_and_an_empty_sequence_leave_nothing():
    assert lay_out(["a", "b", "c"], [None, [], X]) == {"c": X}


def test_a_tensor_with_the_name_of_an_element_keeps_it():
    found = lay_out(["s", "s[0]"], [[X], -X])
    assert {name: array[0, 1] for name, array in found.items()} == {"s[0]'": 1, "s[0]": -1}
    assert origins(["s", "s[0]"], found) == {"s[0]'": "s", "s[0]": "s[0]"}


@pytest.mark.parametrize(("name", "may_be"), [("s[0]", True), ("s[0]'", True), ("s", False)])
def test_elements_are_told_by_their_names(name, may_be):
    assert is_element(name) is may_be
