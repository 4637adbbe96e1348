"""From a file to what can be cut."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal

from wrg_onnx import progress
from wrg_onnx.channels import Limits
from wrg_onnx.errors import BudgetError, ModelError, UnsupportedOperatorError, UsageError
from wrg_onnx.graph import stored_bytes
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.inspect import inspect
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.report import to_text
from wrg_onnx.select import Criterion

HEAD = '<ir_version: 8, opset_import: ["": 17]> g '


def write(path, body, **saving):
    model = onnx.parser.parse_model(HEAD + body)
    rng = np.random.default_rng(0)
    for name, shape in (("w1", (64, 3, 3, 3)), ("w2", (1, 64, 3, 3))):
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, path, **saving)
    return path


CONVS = """c = Conv<pads=[1,1,1,1]>(x, w1)  a = Relu(c)  y = Conv<pads=[1,1,1,1]>(a, w2)"""
OPEN = "(float[n,3,h,w] x) => (float[n,1,h,w] y)"


def test_external_data_counts_as_the_files_size(tmp_path):
    inside = write(tmp_path / "inside.onnx", f"{OPEN} {{ {CONVS} }}")
    outside = write(
        tmp_path / "outside.onnx", f"{OPEN} {{ {CONVS} }}", save_as_external_data=True,
        location="outside.data", size_threshold=100,
    )  # fmt: skip
    sizes = [stored_bytes(analyse(path, DataOptions()).graph) for path in (inside, outside)]
    assert sizes[0] == inside.stat().st_size
    assert sizes[1] == outside.stat().st_size + 64 * 27 * 4 + 64 * 9 * 4


def test_the_size_decides_where_the_model_leaves_it_open(tmp_path):
    path = write(tmp_path / "m.onnx", f"{OPEN} {{ {CONVS} }}")
    small, default = (analyse(path, DataOptions(size=size)) for size in ((32, 48), None))
    assert small.input_shapes == {"x": (1, 3, 32, 48)}
    assert default.input_shapes == {"x": (1, 3, 224, 224)}
    macs = small.cost(small.everything, None).macs
    assert macs == 32 * 48 * (64 * 27 + 64 * 9)


def test_an_open_size_that_does_not_fit_names_the_option(tmp_path):
    body = """(float[n,3,h,w] x) => (float[n,1,h,w] y) {
        c = Conv<pads=[1,1,1,1]>(x, w1)
        p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c)
        s = Constant<value_floats=[1.0, 1.0, 2.0, 2.0]>()
        u = Resize<mode="nearest">(p, , s)
        a = Add(c, u)
        y = Conv<pads=[1,1,1,1]>(a, w2)
    }"""
    path = write(tmp_path / "m.onnx", body)
    analyse(path, DataOptions(size=(32, 32)))
    with pytest.raises(ModelError, match=r"--size") as caught:
        analyse(path, DataOptions(size=(33, 33)))
    assert "33" in str(caught.value)


def test_strict_stops_at_an_operator_without_a_rule(tmp_path):
    body = f"{OPEN} {{ {CONVS.replace('y = Conv', 'q = Conv')}  y = Unique(q) }}"
    path = write(tmp_path / "m.onnx", body)
    analyse(path, DataOptions())
    with pytest.raises(UnsupportedOperatorError, match="no rule for Unique"):
        analyse(path, DataOptions(), strict=True)


@pytest.mark.parametrize("floor", [0, -1, 1.5, float("nan")])
def test_a_floor_outside_its_range_is_refused(tmp_path, floor):
    path = write(tmp_path / "m.onnx", f"{OPEN} {{ {CONVS} }}")
    with pytest.raises(UsageError, match=r"floor must be in \(0, 1\]"):
        inspect(path, DataOptions(), Limits(), floor=floor)
    with pytest.raises(UsageError, match=r"floor must be in \(0, 1\]"):
        PruneConfig(0.5, floor=floor)


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.2, float("nan"), float("inf")])
def test_a_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(UsageError, match=r"ratio must be in \[0, 1\)"):
        PruneConfig(ratio)


def test_mixed_precision_without_a_gradient_names_a_way_out():
    words = "amp is for gradients, and criterion 'r' takes none: leave it out, or choose"
    with pytest.raises(UsageError, match=f"{words} a criterion with a gradient, such as sel"):
        PruneConfig(0.5, criterion=Criterion.R, amp=True)


def test_inspect_lists_widths_and_reasons(tmp_path):
    path = write(tmp_path / "m.onnx", f"{OPEN} {{ {CONVS} }}")
    report = inspect(path, DataOptions(), Limits(), floor=0.25).report
    (group,) = report.groups
    assert (group.name, group.units, group.removable, group.members) == ("w1", 64, 64, 2)
    assert group.parameters == 27 + 9
    assert report.largest_ratio == pytest.approx(0.75)
    assert report.frozen_share == 0
    kept = inspect(path, DataOptions(), Limits(keep=("w1",)), floor=0.25).report
    assert kept.groups == ()
    assert (kept.largest_ratio, kept.frozen_share) == (0, 1)
    assert any("--keep" in row.reason for row in kept.frozen)


NOTHING = {
    "one node": (
        "net (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Identity(x) }", (),
        "the model has no weights",
    ),
    "no weight": (
        "net (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }", (),
        "the model has no weights",
    ),
    "no free channel": (
        "net (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Conv(x, w) }", ("w",),
        "no channel is free, mostly because input 'x' is the model's input",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOTHING)
def test_inspect_and_prune_say_alike_why_nothing_can_be_cut(tmp_path, kind):
    text, weights, why = NOTHING[kind]
    path = tmp_path / "m.onnx"
    onnx.save(build(text, {name: normal(3, 3, 1, 1) for name in weights}), path)
    report = inspect(path, DataOptions(), Limits(), floor=0.1).report
    assert report.nothing.startswith(why)
    assert f"nothing can be cut: {why}" in " ".join(to_text(report, 500).split())
    with pytest.raises(BudgetError, match=f"^nothing can be cut: {why}") as caught:
        prune(path, None, PruneConfig(0.5, criterion=Criterion.L1))
    assert (caught.value.possible, caught.value.frozen) == (0, report.frozen_share)


def test_nodes_are_counted_and_once_more_where_answers_leave_something_open(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "OFTEN_S", 0)
    plain, grouped = [], []
    model = write(tmp_path / "m.onnx", f"{OPEN} {{ {CONVS} }}")
    analyse(model, DataOptions(), progress=lambda *all_: plain.append(all_))
    assert plain == [("analyse", done, 3) for done in (1, 2, 3)]
    text = f"{OPEN} {{ c = Conv<pads=[1,1,1,1]>(x, w1)  y = Conv<pads=[1,1,1,1],group=2>(c, v) }}"
    other = onnx.load(write(tmp_path / "g.onnx", text.replace("float[n,1", "float[n,4")))
    weight = np.ones((4, 32, 3, 3), np.float32)
    other.graph.initializer.append(onnx.numpy_helper.from_array(weight, "v"))
    analyse(other, DataOptions(), progress=lambda *all_: grouped.append(all_))
    assert [done for _, done, _ in grouped] == [*range(1, len(grouped) + 1)]
    assert grouped[1] == ("analyse", 2, 2)
    assert grouped[-1][1] == grouped[-1][2] == 4
