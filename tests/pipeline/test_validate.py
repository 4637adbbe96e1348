"""A pruned model held against its original."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import onnx
import pytest
from strategies import build, normal

from wrg_onnx.errors import ModelError
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import samples
from wrg_onnx.pipeline.config import DataOptions, Precision, PruneConfig, ValidateConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.pipeline.validate import validate
from wrg_onnx.report import to_text
from wrg_onnx.select import Criterion

pytestmark = pytest.mark.usefixtures("few_samples")
SHORT = Timing(warmup=0, rounds=2)
PRUNE = PruneConfig(0.0, data=DataOptions(samples=2), timing=SHORT)
CONFIG = ValidateConfig(data=DataOptions(samples=2), timing=SHORT)


@pytest.fixture
def pruned(tiny_unet, tmp_path):
    path = tmp_path / "pruned.onnx"
    prune(tiny_unet, path, dataclasses.replace(PRUNE, ratio=0.3, criterion=Criterion.L1))
    return path


def edited(source, path, change):
    model = onnx.load(source)
    change(model.graph)
    onnx.save(model, path)
    return path


def test_a_pruned_model_validates(tiny_unet, pruned):
    report = validate(tiny_unet, pruned, CONFIG).report
    assert report.problems == ()
    assert report.after.parameters < report.before.parameters
    assert report.accuracy.before.images == report.accuracy.after.images == 2
    assert report.speed[0].provider == "cpu"


@pytest.mark.parametrize("precision", Precision)
def test_a_pruned_model_in_other_numbers_validates(tiny_unet, tmp_path, precision):
    path = tmp_path / "small.onnx"
    how = dataclasses.replace(PRUNE, ratio=0.3, criterion=Criterion.L1, precision=precision)
    prune(tiny_unet, path, how)
    report = validate(tiny_unet, path, CONFIG).report
    assert report.problems == ()
    assert report.accuracy.after.images == 2
    assert report.narrowed.startswith(("quantised (", "in half precision ("))
    assert "The operators are others, since the pruned model is" in " ".join(
        to_text(report).split()
    )


def test_a_model_agrees_with_itself(tiny_unet, tmp_path):
    same = tmp_path / "same.onnx"
    same.write_bytes(tiny_unet.read_bytes())
    report = validate(tiny_unet, same, CONFIG).report
    assert report.accuracy.before == report.accuracy.after
    assert [output.relative_error for output in report.accuracy.agreement] == [0]


def test_a_validation_knows_how_certain_each_change_is_as_the_pruning_did(
    tiny_unet, pruned, monkeypatch
):
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 12)
    how = dataclasses.replace(PRUNE, ratio=0.3, criterion=Criterion.L1, evaluate=True)
    made = prune(tiny_unet, pruned, how, force=True).report
    found = validate(tiny_unet, pruned, CONFIG).report
    assert found.changes == made.changes
    assert [one.metric for one in found.changes][:2] == ["MAE", "max F"]
    assert all(one.low <= one.change <= one.high for one in found.changes)
    assert {one.images for one in found.changes} == {12}


def test_of_few_images_a_validation_knows_the_change_and_no_interval(tiny_unet, pruned):
    found = validate(tiny_unet, pruned, CONFIG).report
    assert {(one.low, one.high, one.images) for one in found.changes} == {(None, None, 2)}
    assert "10 or more would tell how certain a change is." in " ".join(to_text(found).split())


def test_a_model_is_certainly_no_other_than_itself(tiny_unet, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 10)
    same = tmp_path / "same.onnx"
    same.write_bytes(tiny_unet.read_bytes())
    changes = validate(tiny_unet, same, CONFIG).report.changes
    assert {(one.change, one.low, one.high) for one in changes} == {(0, 0, 0)}


def test_without_masks_the_error_of_the_outputs_has_an_interval(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "RANDOM_FOR_VALIDATION", 10)
    text = "net (float[2,6] x) => (float[2,5] y) { a = MatMul(x, d) n = Relu(a) y = MatMul(n, e) }"
    d, e = normal(6, 8), normal(8, 5)
    onnx.save(build(text, {"d": d, "e": e}), tmp_path / "a.onnx")
    onnx.save(build(text, {"d": d, "e": 1.5 * e}), tmp_path / "b.onnx")
    (change,) = validate(tmp_path / "a.onnx", tmp_path / "b.onnx", CONFIG).report.changes
    assert (change.metric, change.images) == ("relative error", 10)
    assert change.low == pytest.approx(0.5)
    assert change.high == pytest.approx(0.5)


def test_with_a_wrong_structure_no_change_is_known(tiny_unet, tmp_path):
    other = edited(tiny_unet, tmp_path / "other.onnx", other_operator)
    assert validate(tiny_unet, other, CONFIG).report.changes == ()


def rename_output(graph):
    old = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["map" if name == old else name for name in node.output]
    graph.output[0].name = "map"


def other_operator(graph):
    next(node for node in graph.node if node.op_type == "Relu").op_type = "Softplus"


def one_more_node(graph):
    last = graph.node[-1]
    graph.node.add(op_type="Identity", input=["inner"], output=[last.output[0]])
    last.output[0] = "inner"


def wider(graph):
    for tensor in graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if tensor.name in ("bottom.1.first.0.weight", "bottom.1.second.0.weight"):
            axis = 0 if "first" in tensor.name else 1
            array = np.concatenate([array, np.take(array, [0], axis)], axis)
        elif tensor.name == "bottom.1.first.0.weight_bias":
            array = np.concatenate([array, array[:1]])
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (rename_output, r"outputs are 'map' float32 \[.*\] instead of '.*' float32"),
        (other_operator, r"operator \d+ is Softplus instead of Relu"),
        (one_more_node, r"has \d+ operators instead of \d+"),
        (wider, r"constant '.*' is \[.*\], which does not fit into the original's \[.*\]"),
    ],
)
def test_another_structure_is_a_problem_and_nothing_runs(tiny_unet, tmp_path, change, problem):
    other = edited(tiny_unet, tmp_path / "other.onnx", change)
    report = validate(tiny_unet, other, CONFIG).report
    assert any(re.search(problem, found) for found in report.problems), report.problems
    assert report.accuracy is None
    assert report.speed == ()


def test_a_model_that_the_checker_refuses_is_a_problem(tiny_unet, tmp_path):
    def break_names(graph):
        graph.name = ""

    other = edited(tiny_unet, tmp_path / "other.onnx", break_names)
    assert any("checker" in found for found in validate(tiny_unet, other, CONFIG).report.problems)


def test_a_missing_file_is_named(tiny_unet, tmp_path):
    with pytest.raises(ModelError, match=r"gone\.onnx': no such file"):
        validate(tiny_unet, tmp_path / "gone.onnx", CONFIG)


def test_a_copy_of_a_node_for_one_of_its_readers_is_no_problem(tmp_path):
    """Two layers that read one shape, and lose different channels."""
    text = """<ir_version: 8, opset_import: ["": 17]> g
    (float[N,3,8,8] x) => (float[N,2,8,8] y) {
        a = Conv(x, w1)  b = Conv(x, w2)  n = Shape(x)  i = Gather(n, zero)
        s = Concat<axis = 0>(i, flat)  c = Reshape(a, s)  d = Reshape(b, s)
        t = Concat<axis = 0>(i, wide)  e = Reshape(c, t)  f = Reshape(d, t)
        g = Conv(e, w3)  h = Conv(f, w4)  y = Add(g, h) }"""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(0)
    arrays = {
        "w1": rng.standard_normal((8, 3, 1, 1)), "w2": rng.standard_normal((8, 3, 1, 1)),
        "w3": rng.standard_normal((2, 8, 1, 1)), "w4": rng.standard_normal((2, 8, 1, 1)),
    }  # fmt: skip
    tensors = {name: array.astype(np.float32) for name, array in arrays.items()}
    tensors |= {"zero": np.array([0]), "flat": np.array([8, 64]), "wide": np.array([8, 8, 8])}
    for name, array in tensors.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "m.onnx")
    config = dataclasses.replace(PRUNE, ratio=0.35, criterion=Criterion.L1)
    prune(tmp_path / "m.onnx", tmp_path / "p.onnx", config)
    before, after = (len(onnx.load(tmp_path / n).graph.node) for n in ("m.onnx", "p.onnx"))
    assert after > before
    assert validate(tmp_path / "m.onnx", tmp_path / "p.onnx", CONFIG).report.problems == ()


def test_what_the_checker_refuses_of_the_original_is_no_problem(tiny_unet, tmp_path):
    def break_names(graph):
        graph.name = ""

    both = [edited(tiny_unet, tmp_path / f"{name}.onnx", break_names) for name in "ab"]
    assert validate(*both, CONFIG).report.problems == ()


def record_shape(graph):
    """Record another shape of the first layer's output than the one it has."""
    graph.value_info.append(onnx.helper.make_tensor_value_info("a", 1, [2, 99]))


@pytest.mark.parametrize("op", ["SimplifiedLayerNormalization(a, s)", "Relu(a)"])
def test_what_the_checker_refuses_of_the_pruned_file_alone_is_a_problem(tmp_path, op):
    text = f"net (float[2,6] x) => (float[2,5] y) {{ a = MatMul(x, d) n = {op} y = MatMul(n, e) }}"
    arrays = {"d": normal(6, 8), "s": normal(8), "e": normal(8, 5)}
    onnx.save(build(text, arrays), tmp_path / "a.onnx")
    other = edited(tmp_path / "a.onnx", tmp_path / "b.onnx", record_shape)
    (problem,) = validate(tmp_path / "a.onnx", other, CONFIG).report.problems
    assert re.search(r"the ONNX checker refuses it: .*\(8\) vs \(99\)", problem)


def test_a_refused_original_does_not_hide_another_problem_of_the_pruned_file(tmp_path):
    text = "net (float[2,6] x) => (float[2,5] y) { a = MatMul(x, d) n = Relu(a) y = MatMul(n, e) }"
    onnx.save(build(text, {"d": normal(6, 8), "e": normal(8, 5)}), tmp_path / "m.onnx")

    def break_names(graph):
        graph.name = ""

    original = edited(tmp_path / "m.onnx", tmp_path / "a.onnx", break_names)
    other = edited(tmp_path / "m.onnx", tmp_path / "b.onnx", record_shape)
    assert len(validate(original, other, CONFIG).report.problems) == 1
