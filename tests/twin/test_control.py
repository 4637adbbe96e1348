"""Control flow in the twin: whose parameters, what gradients, which taps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import parser
from strategies import analyse, build, draw_alive, normal

from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Edit, edited, load, open_session
from wrg_onnx.graph.load import from_proto
from wrg_onnx.rewrite import apply_plan, plan_slices
from wrg_onnx.twin import build_twin

MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"

BRANCHES = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 2] x, bool flag) => (float[N, 2] y)
<float[2] outer = {1.0, 2.0}>
{
  h = Mul (x, outer)
  z = If (flag) <
    then_branch = g1 () => (float[N, 2] a) <float[2] w = {3.0, 4.0}> { a = Mul (h, w) },
    else_branch = g2 () => (float[N, 2] a) <float[2] w = {5.0, 6.0}> { t = Mul (h, w)
      a = Add (t, outer) }
  >
  y = Neg (z)
}
"""

LOOP = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[2] x, int64 trips) => (float[2] y, float[K, 2] all)
{
  y, all = Loop (trips, , x) <
    body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t, float[2] u)
    <float[2] w = {0.5, 2.0}>
    { d = Identity (c)  t = Mul (s, w)  u = Add (t, x) }
  >
}
"""

BETWEEN = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[2] before, int64 trips) => (float[2] y, float[K, 2] all)
{
  x = Neg (before)
  z, all = Loop (trips, , x) <
    body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t, float[2] u)
    <float[2] w = {0.5, 2.0}>
    { d = Identity (c)  t = Mul (s, w)  u = Add (t, x) }
  >
  y = Mul (z, z)
}
"""

SCAN = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[2] start, float[3, 2] steps) => (float[2] last, float[3, 2] sums)
{
  last, sums = Scan <num_scan_inputs = 1, body = b (float[2] s, float[2] n) =>
    (float[2] t, float[2] u) <float[2] w = {0.5, 2.0}>
    { v = Mul (s, w)  t = Add (v, n)  u = Identity (t) }> (start, steps)
}
"""


def graph_of(text):
    return from_proto(parser.parse_model(text), name="m")


@pytest.mark.parametrize(("flag", "expected"), [(True, [-3.0, -16.0]), (False, [-6.0, -26.0])])
def test_a_branch_reads_outer_tensors_and_weights_of_its_own(flag, expected):
    twin = build_twin(graph_of(BRANCHES))
    y = twin({"x": torch.tensor([[1.0, 2.0]]), "flag": torch.tensor(flag)})["y"]
    assert y.tolist() == [expected]


def test_weights_of_bodies_are_parameters_under_the_names_that_edit_writes():
    graph = graph_of(BRANCHES)
    twin = build_twin(graph)
    names = sorted(twin.parameters_by_name())
    assert [name.rpartition(".")[2] for name in names] == [
        "else_branch/w",
        "then_branch/w",
        "outer",
    ]
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    session = open_session(edited(graph, Edit(constants=twin.trained_constants())), exact=True)
    for flag in (True, False):
        feeds = {"x": np.float32([[1.0, 2.0]]), "flag": np.array(flag)}
        mine = twin({name: torch.tensor(array) for name, array in feeds.items()})["y"]
        np.testing.assert_array_equal(session.run(feeds)["y"], mine.detach())


def test_only_the_branch_that_ran_has_a_gradient():
    twin = build_twin(graph_of(BRANCHES))
    twin({"x": torch.ones(1, 2), "flag": torch.tensor(True)})["y"].sum().backward()
    gradients = {name: parameter.grad for name, parameter in twin.parameters_by_name().items()}
    (own,) = (name for name in gradients if "then_branch" in name)
    (other,) = (name for name in gradients if "else_branch" in name)
    assert gradients[own].tolist() == [-1.0, -2.0]
    assert gradients[other] is None


@pytest.mark.parametrize("trips", [0, 1, 3])
def test_a_loop_stacks_what_its_iterations_return(trips):
    graph = graph_of(LOOP)
    feeds = {"x": np.float32([1.0, -2.0]), "trips": np.array(trips)}
    twin = build_twin(graph)
    mine = twin({name: torch.tensor(array) for name, array in feeds.items()})
    theirs = open_session(graph, exact=True).run(feeds)
    for name, value in mine.items():
        np.testing.assert_array_equal(theirs[name], value.detach().numpy())


@pytest.mark.parametrize("text", [LOOP, SCAN])
def test_gradients_go_through_every_iteration(text):
    twin = build_twin(graph_of(text)).double()
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": (2,), "start": (2,), "steps": (3, 2)}
    names = [name for name in twin.input_names if name in shapes]
    inputs = [torch.randn(shapes[name], generator=generator).double() for name in names]
    weight = next(iter(twin.parameters()))

    def run(own, *values):
        feeds = {**dict(zip(names, values, strict=True)), "trips": torch.tensor(3)}
        return tuple(torch.func.functional_call(twin, {"weight_0": own}, (feeds,)).values())

    leaves = [value.requires_grad_() for value in (weight.detach().clone(), *inputs)]
    assert torch.autograd.gradcheck(run, tuple(leaves))


def test_a_tap_in_a_body_is_what_the_last_iteration_made():
    twin = build_twin(graph_of(LOOP))
    (name,) = (f"{node.name}.body/t" for node in graph_of(LOOP).nodes)
    values = twin({"x": torch.ones(2), "trips": torch.tensor(2)}, [name])
    torch.testing.assert_close(values[name], values["y"])
    with pytest.raises(UsageError, match="no tensor"):
        twin({"x": torch.ones(2), "trips": torch.tensor(0)}, [name])


@pytest.mark.parametrize("cuts", [(1,), (2,), (1, 2)])
@pytest.mark.parametrize("trainable", [True, False])
def test_a_tap_in_a_body_is_there_where_parts_are_computed_twice(trainable, cuts):
    graph = graph_of(BETWEEN)
    twin = build_twin(graph, trainable=trainable)
    (loop,) = (node.name for node in graph.nodes if node.op == "Loop")
    taps = [f"{loop}.body/u", "z", f"{loop}.body/t"]
    feeds = {"before": torch.tensor([1.0, -3.0]), "trips": torch.tensor(2)}

    def values_and_gradients(cuts):
        values = twin(feeds, taps, cuts=cuts)
        loss = values["y"].sum() + values["all"].square().sum()
        return values, torch.autograd.grad(loss, [values[name] for name in taps])

    plain, parted = values_and_gradients(()), values_and_gradients(cuts)
    torch.testing.assert_close(parted, plain, rtol=0, atol=0)


@pytest.mark.parametrize("file", ["silero_vad_16k_op15.onnx", "dtln_model_1.onnx"])
def test_a_speech_models_twin_computes_what_onnx_runtime_computes(file):
    path = MODELS / file
    if not path.exists():
        pytest.skip(f"the model collection is not here: {path}")
    graph = load(path)
    rng = np.random.default_rng(0)
    sizes = {"input": (1, 512), "sr": ()}
    feeds = {}
    for value in graph.inputs:
        known = tuple(size if isinstance(size, int) else 1 for size in value.shape)
        array = rng.random(sizes.get(value.name, known))
        feeds[value.name] = np.array(array if value.name != "sr" else 16000, value.dtype)
    twin = build_twin(graph)
    mine = twin({name: torch.tensor(array) for name, array in feeds.items()})
    theirs = open_session(graph, exact=True).run(feeds)
    for name, value in mine.items():
        np.testing.assert_allclose(value.detach().numpy(), theirs[name], rtol=1e-4, atol=1e-5)
    sum(value.square().mean() for value in mine.values()).backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())


CUT = """net (float[2,4] x, int64 trips) => (float[2,3] y, float[K,2,3] all) {
  m = MatMul(x, begin)
  last, made = Loop (trips, , m)
    <body = b (int64 i, bool c, float[2,6] s) => (bool d, float[2,6] t, float[2,5] u)
    { d = Identity(c)  h = MatMul(s, w1)  u = Relu(h)  v = MatMul(u, w2)  t = Add(s, v) }>
  y = MatMul(last, end)  all = MatMul(made, aside) }"""
CUT_WEIGHTS = {
    "begin": normal(4, 6), "w1": normal(6, 5), "w2": normal(5, 6), "end": normal(6, 3),
    "aside": normal(5, 3),
}  # fmt: skip


@pytest.mark.parametrize("trips", [0, 1, 3])
def test_a_loop_whose_state_was_cut_is_computed_as_onnx_runtime_does(trips):
    found = analyse(build(CUT, CUT_WEIGHTS))
    alive = draw_alive(found.units, np.random.default_rng(0), 0.5)
    pruned = apply_plan(found.graph, plan_slices(found.units, alive))
    assert pruned.constants["begin"].shape[1] < 6
    assert pruned.constants["aside"].shape[0] < 5
    feeds = {"x": normal(2, 4), "trips": np.array(trips)}
    mine = build_twin(pruned)({name: torch.tensor(array) for name, array in feeds.items()})
    theirs = open_session(pruned, exact=True).run(feeds)
    for name, value in mine.items():
        np.testing.assert_allclose(theirs[name], value.detach().numpy(), rtol=1e-5, atol=1e-5)
