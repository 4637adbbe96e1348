"""Small files that ask for endless time or memory are refused in one line, soon and cheaply."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import onnx
import pytest
from processes import run_measured
from strategies import build, normal

L1 = ("--ratio", 0.5, "--criterion", "l1", "--recover", "none")

HUGE = 1 << 36

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs wait4")


def refusal(*command, **environment):
    """Run a command in a process of its own that must refuse; return its one line."""
    ended = run_measured(*command, **environment)
    assert (ended.code, ended.out) == (1, ""), ended.lines
    (line,) = ended.lines
    assert len(line) < 600
    assert ended.peak_bytes < 1 << 30
    assert ended.cpu_seconds < 20  # two threads for at most 10 s
    return line


def write(text, weights=None, **options):
    onnx.save(build(text, {"w": normal(8, 3, 1, 1), **(weights or {})}, **options), "m.onnx")


def doubling(count):
    """Functions each of which calls the next one twice."""
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    net (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = own.f0(x) }"""
    for number in range(count):
        body = f"c = own.f{number + 1}(a)  b = own.f{number + 1}(c)"
        if number == count - 1:
            body = "c = Relu(a)  b = Neg(c)"
        text += (
            f'<domain: "own", opset_import: ["" : 17, "own" : 1]> f{number} (a) => (b) {{{body}}}'
        )
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize(
    ("count", "command"), [(25, ("inspect",)), (25, ("prune", *L1)), (17, ("prune", *L1))],
    ids=lambda given: given if isinstance(given, int) else given[0],
)  # fmt: skip
def test_functions_that_double_many_times_are_counted_and_not_laid_in(count, command):
    onnx.save(doubling(count), "m.onnx")
    line = refusal(command[0], "m.onnx", *command[1:])
    assert (
        f"'m.onnx': its local functions cannot be inlined: they would become {1 << count} nodes"
        in line
    )


MADE = {
    "Range": "r = Range(zero, n, one)",
    "ConstantOfShape": "r = ConstantOfShape(ns)",
    "Expand": "r = Expand(one, ns)",
    "Tile": "r = Tile(ones, ns)",
    "Pad": "r = Pad(ones, pads)",
}
COMPUTED = {
    "": "",
    "computed": "n = Mul(root, root)  ns = Mul(roots, roots)  e = Sub(ns, ones)"
    "  zs = Sub(ones, ones)  pads = Concat<axis = 0>(zs, e)",
    "of what is fed": "k = Shape(x)  first = Slice(k, izs, ones)  ns = Mul(first, vast)"
    "  n = Squeeze(ns)  e = Sub(ns, ones)  zs = Sub(ones, ones)  pads = Concat<axis = 0>(zs, e)",
}
"""How the numbers come about."""

PLACES = {
    "graph": "{making}  f = Cast<to = 1>(r)  s = ReduceSum<keepdims = 0>(f)",
    "branch": """c = ReduceSum<keepdims = 0>(x)  t = Greater(c, threshold)
      s = If(t) <then_branch = a () => (float p) {{ {making}  f = Cast<to = 1>(r)
                   p = ReduceSum<keepdims = 0>(f) }},
                 else_branch = b () => (float q) {{ q = Neg(threshold) }}>""",
}


CASES = [
    *((made, computed, "graph") for made in MADE for computed in COMPUTED),
    *((made, "", "branch") for made in MADE),
    *(("Expand", computed, "branch") for computed in COMPUTED if computed),
]


@pytest.mark.slow
@pytest.mark.parametrize(("made", "computed", "place"), CASES)
def test_tensors_of_2_to_the_36_values_are_refused_before_they_are_made(made, computed, place):
    making = f"{COMPUTED[computed]}  {MADE[made]}"
    text = f"""net (float[1,3,8,8] x) => (float[1,8,8,8] y) {{
      h = Conv(x, w)  {PLACES[place].format(making=making)}  y = Add(h, s) }}"""
    numbers = {
        "zero": np.int64(0), "one": np.int64(1), "ones": np.int64([1]), "root": np.int64(1 << 18),
        "roots": np.int64([1 << 18]), "vast": np.int64([HUGE]), "izs": np.int64([0]),
        "threshold": np.float32(1e9),
    }  # fmt: skip
    if not computed:
        numbers |= {"n": np.int64(HUGE), "ns": np.int64([HUGE]), "pads": np.int64([0, HUGE - 1])}
    write(text, numbers)
    line = refusal("prune", "m.onnx", *L1)
    # In a branch that is not taken nobody knows how large it would be.
    is_known = computed != "of what is fed" or place == "graph"
    assert ("'m.onnx'" if is_known else "nothing can be cut") in line


def test_a_list_that_is_joined_with_itself_36_times_is_not_followed():
    joined = "  ".join(f"l{k + 1} = Concat<axis = 0>(l{k}, l{k})" for k in range(36))
    write(
        f"""net (float[1,3,8,8] x) => (float[1,8,8,8] y) {{ h = Conv(x, w)  l0 = Shape(x)
        {joined}  f = Cast<to = 1>(l36)  s = ReduceSum<keepdims = 0>(f)  y = Add(h, s) }}"""
    )
    assert "'m.onnx'" in refusal("inspect", "m.onnx")


LONG = {
    "Expand": "m = ReduceMax<keepdims = 0>(x)  r = Expand(m, ns)",
    "Tile": "r = Tile(h, ts)",
    "Concat": "  ".join(f"h{k + 1} = Concat<axis = 1>(h{k}, h{k})" for k in range(20))
    .replace("h0", "h").replace("h20", "r"),
}  # fmt: skip


TOGETHER = {
    "of constants": "  ".join(f"c{k} = ConstantOfShape(ns)" for k in range(12)),
    "of what is fed": "m = ReduceMax<keepdims = 0>(x)  "
    + "  ".join(f"c{k} = Expand(m, ns)" for k in range(12)),
}


@pytest.mark.parametrize("making", TOGETHER)
def test_a_dozen_tensors_that_one_node_reads_are_added_up(making):
    write(
        f"""net (float[1,3,8,8] x) => (float[1,4,8,8] y, float s) {{ h = Conv(x, w)
        {TOGETHER[making]}  r = Sum({", ".join(f"c{k}" for k in range(12))})
        s = ReduceMax<keepdims = 0>(r)  y = Conv(h, v) }}""",
        {"v": normal(4, 8, 1, 1), "ns": np.int64([1 << 26])},
    )
    assert "GiB are in memory at the same time" in refusal("prune", "m.onnx", *L1)
    ended = run_measured("inspect", "m.onnx")
    assert (ended.code, ended.lines) == (0, [])
    assert ended.peak_bytes < 1 << 30


def test_strings_that_are_joined_with_themselves_36_times_are_not_made():
    joined = "  ".join(f"s{k + 1} = StringConcat(s{k}, s{k})" for k in range(36))
    write(
        f"""net (float[1,3,8,8] x) => (float[1,4,8,8] y, string[1] s36) {{
        h = Conv(x, w)  {joined}  y = Conv(h, v) }}""",
        {"v": normal(4, 8, 1, 1), "s0": np.array([b"a" * 16], object)},
        opset=20,
    )
    assert "at StringConcat 'StringConcat_36', 3072.0 GiB are" in refusal("prune", "m.onnx", *L1)


@pytest.mark.parametrize("making", LONG)
def test_axes_of_2_to_the_23_positions_and_more_are_not_told_apart(making):
    write(
        f"""net (float[1,3,1,1] x) => (float[1,4,1,1] y, float s) {{ h = Conv(x, w)
        {LONG[making]}  s = ReduceMax<keepdims = 0>(r)  y = Conv(h, v) }}""",
        {"v": normal(4, 8, 1, 1), "ns": np.int64([1 << 26]), "ts": np.int64([1, 1 << 22, 1, 1])},
    )
    ended = run_measured("inspect", "m.onnx")
    assert (ended.code, ended.lines) == (0, [])
    assert ended.peak_bytes < 1 << 30
    assert ended.cpu_seconds < 20


LOOP = """net (float[1,3,8,8] x) => (float y) {{
  h = Conv(x, w)
  l{scanned} = Loop(trips, on, h) <body = b (int64 i, bool c, float[1,8,8,8] v)
      => (bool d, float[1,8,8,8] u{made}) {{ {body} }}>
  n = NonZero(l)  f = Cast<to = 1>(n)  y = ReduceSum<keepdims = 0>(f) }}"""
BODIES = {
    "computes": "d = Identity(c)  u = Relu(v)",
    "does next to nothing": "d = Identity(c)  u = Identity(v)",
    "asks a number": "k = ReduceMax<keepdims = 0>(v)  d = Less(k, threshold)  u = Abs(v)",
}
BOMB = {"trips": np.int64(1 << 62), "on": np.bool_(True), "threshold": np.float32(1e30)}


@pytest.mark.parametrize("body", BODIES)
def test_a_loop_that_goes_round_for_ever_is_ended(body):
    write(LOOP.format(scanned="", made="", body=BODIES[body]), BOMB)
    line = refusal("prune", "m.onnx", *L1)
    assert "'m.onnx': a run takes more than 5 s, and its Loop 'l' may go round for ever" in line
    assert "WRG_ONNX_LOOP_SECONDS=60" in line


def test_a_loop_that_gathers_for_ever_is_ended():
    body = "d = Identity(c)  u = Relu(v)  g = Tile(v, often)"
    text = LOOP.format(scanned=", all", made=", float[64,8,64,64] g", body=body)
    write(text, {**BOMB, "often": np.int64([64, 1, 8, 8])})
    line = refusal("prune", "m.onnx", *L1)
    assert "GiB, and its Loop 'l' may go round for ever" in line


def test_the_time_of_a_loop_is_the_users_to_set():
    write(LOOP.format(scanned="", made="", body=BODIES["computes"]), BOMB)
    line = refusal("prune", "m.onnx", *L1, WRG_ONNX_LOOP_SECONDS="1")
    assert "takes more than 1 s" in line


@pytest.mark.parametrize(
    "sizes", ["1,3,4611686018427387904,4", "1,3,1048576,1048576", "1,3,65536,65536"]
)
def test_inputs_that_no_memory_holds_are_refused(sizes):
    write(f"net (float[{sizes}] x) => (float[a,b,c,d] y) {{ y = Conv(x, w) }}")
    assert "'x' would have" in refusal("prune", "m.onnx", *L1)


def test_names_of_100000_characters_are_refused():
    write("net (float[1,3,8,8] x) => (float[1,8,8,8] y) { h = Conv(x, w)  y = Relu(h) }")
    model = onnx.load("m.onnx")
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "n" * 100_000
    onnx.save(model, "m.onnx")
    line = refusal("inspect", "m.onnx")
    assert line.endswith("nnn...' has 100000 characters, and 65536 are the most")


def test_names_of_10000_characters_do_not_become_longer_from_body_to_body():
    many = "  ".join(f"n{k + 1} = Neg(n{k})" for k in range(2000))
    text = f"n0 = Neg(x)  {many}  p = Neg(n2000)"
    for number in range(20):
        text = f"""p = If(c) <then_branch = a{number} () => (float[1] p) {{ {text} }},
            else_branch = b{number} () => (float[1] q{number}) {{ q{number} = Abs(x) }}>"""
    model = build(f"net (float[1] x, bool c) => (float[1] p) {{ {text} }}")
    node = model.graph.node[0]
    for number in range(20):
        node.name = f"{number}" + "n" * 10_000
        node = node.attribute[0].g.node[0]
    onnx.save(model, "m.onnx")
    assert "nothing can be cut" in refusal("prune", "m.onnx", *L1)


def test_1000_branches_of_the_same_names_are_told_apart():
    branches = "  ".join(
        f"""o{k} = If(c) <then_branch = a () => (float[1] p) {{ p = Abs(x) }},
        else_branch = b () => (float[1] p) {{ p = Neg(x) }}>""" for k in range(1000)
    )  # fmt: skip
    model = build(f"net (float[1] x, bool c) => (float[1] o999) {{ {branches} }}")
    for node in model.graph.node:
        node.name = "same"
    onnx.save(model, "m.onnx")
    assert "nothing can be cut" in refusal("prune", "m.onnx", *L1)


def test_a_sparse_weight_of_next_to_nothing_is_not_written_out():
    write("net (float[1,3,8,8] x) => (float[a,b,c,d] y) { h = Conv(x, w)  y = Add(h, s) }")
    model = onnx.load("m.onnx")
    values = onnx.numpy_helper.from_array(np.ones(1, np.float32), "s")
    places = onnx.numpy_helper.from_array(np.zeros(1, np.int64))
    model.graph.sparse_initializer.append(
        onnx.helper.make_sparse_tensor(values, places, [1 << 13, 1 << 14])
    )
    onnx.save(model, "m.onnx")
    assert "too many to be written out" in refusal("inspect", "m.onnx")


def test_a_note_that_keeps_64_times_2_to_the_24_channels_is_broken():
    text = "net (float[1,3,8,8] x) => (float[1,4,8,8] y) { h = Conv(x, w)  y = Conv(h, v) }"
    write(text, {"v": normal(4, 8, 1, 1)})
    model = onnx.load("m.onnx")
    note = json.dumps({f"t{k}": [0, 1 << 24, [0, 1 << 24]] for k in range(64)})
    onnx.helper.set_model_props(model, {"wrg_onnx.kept": note})
    onnx.save(model, "m.onnx")
    assert "is broken (it keeps 1073741824 channels in all" in refusal("prune", "m.onnx", *L1)


@pytest.fixture
def fed(folder):
    """Write a model that takes no image, and data for it."""
    write(
        """net (float[n,3,8,8] x, float[n,4] z) => (float[a,b,c,d] y) { h = Conv(x, w)  r = Relu(h)
        y = Conv(r, v) }""",
        {"v": normal(4, 8, 1, 1)},
    )
    (folder / "data").mkdir()
    for number in range(4):
        arrays = {"x": normal(1, 3, 8, 8, seed=number), "z": normal(1, 4)}
        np.savez(folder / "data" / f"{number}.npz", **arrays)
    return folder / "data"


def add_bomb(path, name, count):
    """Add an array of zeros to an archive: it has a two-hundredth of its bytes there."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (count,)}
    packing = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 1}
    with (
        zipfile.ZipFile(path, "a", **packing) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(count >> 20):
            stream.write(bytes(4 << 20))


def test_arrays_that_no_input_is_called_by_are_not_unpacked(fed):
    add_bomb(fed / "1.npz", "other", 1 << 28)
    options = ("--ratio", 0.3, "--samples", 2, "--criterion", "w", "--recover", "bias")
    ended = run_measured("prune", "m.onnx", *options, "--data", "data")
    assert ended.code == 0, ended.lines
    assert ended.peak_bytes < 1 << 30
