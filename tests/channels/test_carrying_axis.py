"""Which factor of a divided axis carries the units: heads, groups, the halves of a shuffle."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import (
    Analysis,
    analyse,
    assert_identity,
    assert_surgery_is_exact,
    build,
    copy_of,
    draw_alive,
    normal,
    repeatable,
)

from wrg_onnx.channels import Limits, find_units
from wrg_onnx.graph import bind_sizes, infer_shapes, other_sizes
from wrg_onnx.graph.load import from_proto
from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation


def ints(*values):
    return np.array(values, np.int64)


def separate(heads, dim, *, tokens=5, width=12, batch="1"):
    """Multi-head attention with a matrix each for queries, keys and values."""
    inner = heads * dim
    split = ints(0, 0, heads, dim)
    weights = {
        **{f"w{k}": normal(width, inner, seed=i) for i, k in enumerate("qkv")},
        **{f"b{k}": normal(inner, seed=i) for i, k in enumerate("qkv")},
        "wo": normal(inner, width, seed=5), "s": split, "j": ints(0, 0, -1),
    }  # fmt: skip
    body = " ".join(
        f"p{k} = MatMul(x, w{k})  a{k} = Add(p{k}, b{k})  r{k} = Reshape(a{k}, s)" for k in "qkv"
    )
    text = f"""net (float[{batch},{tokens},{width}] x) => (float[{batch},{tokens},{width}] y) {{
        {body}
        q = Transpose<perm = [0, 2, 1, 3]>(rq)  k = Transpose<perm = [0, 2, 3, 1]>(rk)
        v = Transpose<perm = [0, 2, 1, 3]>(rv)
        l = MatMul(q, k)  p = Softmax<axis = -1>(l)  c = MatMul(p, v)
        t = Transpose<perm = [0, 2, 1, 3]>(c)  f = Reshape(t, j)  y = MatMul(f, wo) }}"""
    return build(text, weights)


def packed(heads, dim, *, tokens=5, width=12):
    """One matrix for queries, keys and values, taken apart by Gather."""
    inner = heads * dim
    weights = {
        "w": normal(width, 3 * inner), "b": normal(3 * inner, seed=2),
        "wo": normal(inner, width, seed=5), "s": ints(0, 0, 3, heads, dim), "j": ints(0, 0, -1),
        **{f"n{i}": np.int64(i) for i in range(3)},
    }  # fmt: skip
    text = f"""net (float[1,{tokens},{width}] x) => (float[1,{tokens},{width}] y) {{
        m = MatMul(x, w)  a = Add(m, b)  r = Reshape(a, s)
        g = Transpose<perm = [2, 0, 3, 1, 4]>(r)
        q = Gather<axis = 0>(g, n0)  h = Gather<axis = 0>(g, n1)  v = Gather<axis = 0>(g, n2)
        k = Transpose<perm = [0, 1, 3, 2]>(h)
        l = MatMul(q, k)  p = Softmax<axis = -1>(l)  c = MatMul(p, v)
        t = Transpose<perm = [0, 2, 1, 3]>(c)  f = Reshape(t, j)  y = MatMul(f, wo) }}"""
    return build(text, weights)


def grouped_query(heads, shared, dim, *, tokens=5, width=12):
    """Grouped-query attention: each head of keys and values serves several heads of queries."""
    ratio = heads // shared
    weights = {
        "wq": normal(width, heads * dim), "wk": normal(width, shared * dim, seed=1),
        "wv": normal(width, shared * dim, seed=2), "wo": normal(heads * dim, width, seed=5),
        "s": ints(1, tokens, heads, dim), "sk": ints(1, tokens, shared, dim), "two": ints(2),
        "e": ints(1, shared, ratio, tokens, dim), "m": ints(1, heads, tokens, dim),
        "j": ints(1, tokens, heads * dim),
    }  # fmt: skip
    kv = " ".join(
        f"p{k} = MatMul(x, w{k})  r{k} = Reshape(p{k}, sk)  "
        f"t{k} = Transpose<perm = [0, 2, 1, 3]>(r{k})  u{k} = Unsqueeze(t{k}, two)  "
        f"e{k} = Expand(u{k}, e)  {k}0 = Reshape(e{k}, m)"
        for k in "kv"
    )  # fmt: skip
    text = f"""net (float[1,{tokens},{width}] x) => (float[1,{tokens},{width}] y) {{
        pq = MatMul(x, wq)  rq = Reshape(pq, s)  q = Transpose<perm = [0, 2, 1, 3]>(rq)  {kv}
        k = Transpose<perm = [0, 1, 3, 2]>(k0)
        l = MatMul(q, k)  p = Softmax<axis = -1>(l)  c = MatMul(p, v0)
        t = Transpose<perm = [0, 2, 1, 3]>(c)  f = Reshape(t, j)  y = MatMul(f, wo) }}"""
    return build(text, weights)


def check(analysis, batches=(None,)):
    assert_identity(analysis)

    @settings(repeatable, max_examples=8)
    @given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.3, 0.6, 1.0]))
    def run(seed, share):
        alive = draw_alive(analysis.units, np.random.default_rng(seed), share)
        assert_surgery_is_exact(analysis, alive, batches=batches)

    run()


def units_along(analysis, name, axis):
    return len(np.unique(analysis.labels(name, axis)))


@pytest.mark.parametrize(("heads", "dim"), [(2, 3), (2, 16), (3, 4), (6, 2)])
def test_heads_go_whole_across_queries_keys_values_and_projection(heads, dim):
    analysis = analyse(separate(heads, dim))
    assert analysis.tied(("wq", 1), ("wk", 1), ("wv", 1), ("wo", 0), ("bq", 0))
    assert units_along(analysis, "wq", 1) == heads
    assert analysis.removable("wq", 1).all()
    check(analysis)


@pytest.mark.parametrize(("heads", "dim"), [(2, 16), (4, 4)])
def test_heads_of_a_packed_projection_go_whole(heads, dim):
    analysis = analyse(packed(heads, dim))
    labels = analysis.labels("w", 1).reshape(3, heads, dim)
    assert (labels == labels[:1, :, :1]).all()
    assert len(np.unique(labels)) == heads
    assert analysis.removable("w", 1).all()
    check(analysis)


@pytest.mark.parametrize(("heads", "shared"), [(4, 2), (6, 2), (6, 3)])
def test_grouped_query_attention_keeps_its_ratio(heads, shared):
    analysis = analyse(grouped_query(heads, shared, 4))
    of_queries = analysis.labels("wq", 1).reshape(shared, heads // shared, 4)
    of_keys = analysis.labels("wk", 1).reshape(shared, 1, 4)
    assert (of_queries == of_keys).all()
    assert len(np.unique(of_keys)) == shared
    assert analysis.removable("wq", 1).all()
    check(analysis)


def test_one_head_lets_the_dims_of_the_values_go():
    analysis = analyse(separate(1, 8))
    assert not analysis.removable("wq", 1).any()
    assert analysis.removable("wv", 1).all()
    assert units_along(analysis, "wv", 1) == 8
    check(analysis)


def test_a_bias_per_head_goes_with_its_head():
    model = separate(3, 4)
    model.graph.initializer.extend(
        build("g () => () {}", {"r": normal(1, 3, 5, 5)}).graph.initializer
    )
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    position = list(model.graph.node).index(softmax)
    add = build("g (float[1,3,5,5] l, float[1,3,5,5] r) => () { lr = Add(l, r) }").graph.node[0]
    model.graph.node.insert(position, add)
    model.graph.node[position + 1].input[0] = "lr"
    analysis = analyse(model)
    assert units_along(analysis, "wq", 1) == 3
    assert analysis.removable("wq", 1).all()
    assert analysis.removable("r", 1).all()
    check(analysis)


def test_heads_survive_an_open_batch():
    model = separate(3, 4, batch="N")
    graph = from_proto(model, name="test")
    shapes = bind_sizes(graph.inputs)
    there = infer_shapes(graph, other_sizes(graph.inputs, shapes))
    units = find_units(graph, infer_shapes(graph, shapes), elsewhere=there)
    assert units.removable[units.of(units.axes["wq"].at(1))].all()
    check(analyse(separate(3, 4, batch="N")), batches=(1, 2))


def test_a_shuffle_keeps_the_factor_with_most_units():
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
        a = Conv(x, w)  f = Reshape(a, s)  p = Transpose<perm = [0, 2, 1, 3, 4]>(f)
        r = Reshape(p, t)  y = Conv(r, v) }"""
    weights = {
        "w": normal(12, 3, 1, 1), "v": normal(2, 12, 1, 1), "s": ints(1, 3, 4, 4, 4),
        "t": ints(1, 12, 4, 4),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    assert units_along(analysis, "w", 0) == 4
    check(analysis)


def test_groups_of_a_decomposed_group_normalisation_go_whole():
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
        a = Conv(x, w)  f = Reshape(a, s)  n = InstanceNormalization(f, one, zero)
        r = Reshape(n, t)  g = Mul(r, gamma)  h = Add(g, beta)  y = Conv(h, v) }"""
    weights = {
        "w": normal(12, 3, 1, 1), "v": normal(2, 12, 1, 1), "s": ints(1, 4, -1),
        "t": ints(1, 12, 4, 4), "one": np.ones(4, np.float32), "zero": np.zeros(4, np.float32),
        "gamma": normal(12, 1, 1), "beta": normal(12, 1, 1, seed=3),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    labels = analysis.labels("w", 0).reshape(4, 3)
    assert (labels == labels[:, :1]).all()
    assert analysis.removable("w", 0).all()
    check(analysis)


def test_the_choice_is_reported():
    units = analyse(separate(3, 4)).units
    choices = {node.choice for node in units.nodes.values()} - {""}
    assert choices == {"of 3 x 4, factor 0 (3) carries the units"}


def analyse_open(model):
    """Analyse a model that leaves its batch open, as the commands do: at two sizes."""
    graph = from_proto(copy_of(model), name="test")
    shapes = bind_sizes(graph.inputs)
    here = infer_shapes(graph, shapes)
    there = infer_shapes(graph, other_sizes(graph.inputs, shapes))
    return Analysis(model, graph, here, find_units(graph, here, elsewhere=there))


def test_heads_go_where_the_last_shape_is_computed_from_the_input():
    """As torch writes ``.reshape(B, N, C)``: C is the width of the stream, not heads x dim."""
    model = separate(3, 4, batch="N")
    shape = build(
        """g (float[N,5,12] x, float[N,5,3,4] t) => () {
            n = Shape(x)  b0 = Gather(n, i0)  c0 = Gather(n, i2)
            b1 = Unsqueeze(b0, ax)  c1 = Unsqueeze(c0, ax)
            to = Concat<axis = 0>(b1, five, c1) }""",
        {"i0": np.int64(0), "i2": np.int64(2), "ax": ints(0), "five": ints(5)},
    )
    model.graph.initializer.extend(shape.graph.initializer)
    last = next(node for node in model.graph.node if "f" in node.output)
    last.input[1] = "to"
    at = list(model.graph.node).index(last)
    for node in reversed(shape.graph.node):
        model.graph.node.insert(at, node)
    analysis = analyse_open(model)
    assert units_along(analysis, "wq", 1) == 3
    assert analysis.removable("wq", 1).all()
    check(analysis, batches=(1, 2, 3))


def test_heads_merged_with_an_open_batch_go_whole():
    """As ``torch.nn.MultiheadAttention`` writes it: (tokens, batch x heads, head dim)."""
    weights = {
        "w": normal(12, 36), "b": normal(36, seed=2), "wo": normal(12, 12, seed=5),
        "s3": ints(0, 0, 3, 12), "two": ints(-2), "i0": np.int64(0), "z": np.int64(0),
        "o": np.int64(1), "t": np.int64(2), "heads": np.int64(3), "one": ints(-1), "five": ints(5),
        "dim": ints(4), "rows": ints(-1, 12), "twelve": ints(12),
    }  # fmt: skip
    text = """net (float[5,N,12] x) => (float[5,N,12] y) {
        n = Shape(x)  bn = Gather(n, o)
        m = MatMul(x, w)  a = Add(m, b)  r = Reshape(a, s3)
        g = Transpose<perm = [2, 0, 1, 3]>(r)
        aq = Gather<axis = 0>(g, z)  ak = Gather<axis = 0>(g, o)  av = Gather<axis = 0>(g, t)
        bh = Mul(bn, heads)  bh1 = Reshape(bh, one)  to = Concat<axis = 0>(five, bh1, dim)
        rq = Reshape(aq, to)  rk = Reshape(ak, to)  rv = Reshape(av, to)
        q = Transpose<perm = [1, 0, 2]>(rq)  k = Transpose<perm = [1, 2, 0]>(rk)
        v = Transpose<perm = [1, 0, 2]>(rv)
        l = MatMul(q, k)  p = Softmax<axis = -1>(l)  c = MatMul(p, v)
        h = Transpose<perm = [1, 0, 2]>(c)  f = Reshape(h, rows)  d = MatMul(f, wo)
        bn1 = Reshape(bn, one)  back = Concat<axis = 0>(five, bn1, twelve)
        y = Reshape(d, back) }"""
    model = build(text, weights)
    graph = from_proto(copy_of(model), name="test")
    here, there = (infer_shapes(graph, {"x": (5, batch, 12)}) for batch in (1, 2))
    analysis = Analysis(model, graph, here, find_units(graph, here, elsewhere=there))
    assert units_along(analysis, "w", 1) == 3
    assert analysis.removable("w", 1).all()
    assert_identity(analysis)
    rng = np.random.default_rng(0)
    for share in (0.4, 0.7, 1.0):
        plan = plan_slices(analysis.units, draw_alive(analysis.units, rng, share))
        pruned = apply_plan(analysis.graph, plan)
        for batch in (1, 2, 3):
            shapes = {"x": (5, batch, 12)}
            assert validate_translation(analysis.graph, pruned, plan, shapes).error < 1e-5


def test_the_second_of_two_divisions_counts_what_the_first_one_divides():
    """(3 x width) is divided first, the width into heads and head dims then."""
    packed_twice = packed(2, 16)
    for tensor in packed_twice.graph.initializer:
        if tensor.name == "s":
            tensor.CopyFrom(onnx.numpy_helper.from_array(ints(0, 0, 3, 32), "s"))
    text = """g (float[1,5,3,32] r) => () { r2 = Reshape(r, s2) }"""
    extra = build(text, {"s2": ints(0, 0, 0, 2, 16)})
    packed_twice.graph.initializer.extend(extra.graph.initializer)
    nodes = packed_twice.graph.node
    at = next(i for i, node in enumerate(nodes) if "g" in node.output)
    nodes[at].input[0] = "r2"
    nodes.insert(at, extra.graph.node[0])
    analysis = analyse(packed_twice)
    assert units_along(analysis, "w", 1) == 2
    assert analysis.removable("w", 1).all()
    check(analysis)


@pytest.mark.parametrize("make", [separate, packed])
def test_head_dims_go_on_request_in_all_heads_alike(make):
    analysis = analyse(make(3, 8), Limits(head_dims=True))
    assert analysis.units.is_contracted.any()
    assert analysis.removable("wo", 0).all()
    assert units_along(analysis, "wo", 0) == 8
    check(analysis)
    plan = plan_slices(
        analysis.units, draw_alive(analysis.units, np.random.default_rng(0), share=0.5)
    )
    pruned = apply_plan(analysis.graph, plan)
    assert validate_translation(analysis.graph, pruned, plan, {"x": (1, 5, 12)}).error < 1e-5


def test_head_dims_stay_where_zeros_do_not_survive_the_way():
    model = separate(2, 8)
    for node in model.graph.node:
        if node.op_type == "Transpose" and node.output[0] in "qk":
            node.output[0] += "1"
    at = next(i for i, node in enumerate(model.graph.node) if "l" in node.output)
    for name in "kq":
        extra = build(f"g (float[1,2,5,8] {name}1) => () {{ {name} = Sigmoid({name}1) }}")
        model.graph.node.insert(at, extra.graph.node[0])
    analysis = analyse(model, Limits(head_dims=True))
    assert not analysis.removable("wq", 1).any()
    assert any("multiplies two activations" in r for r in analysis.reasons("wq", 1))


def test_a_shared_bias_is_silenced_for_one_reader_alone():
    model = separate(3, 8)
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name in ("bk", "bv"):
                node.input[position] = "bq"
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in ("bk", "bv")]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    analysis = analyse(model, Limits(head_dims=True))
    plan = plan_slices(
        analysis.units, draw_alive(analysis.units, np.random.default_rng(3), share=0.5)
    )
    pruned = apply_plan(analysis.graph, plan)
    assert validate_translation(analysis.graph, pruned, plan, {"x": (1, 5, 12)}).error < 1e-5


@pytest.mark.parametrize("batch", [1, "N"])
def test_heads_that_share_a_mask_go_whole(batch):
    """As torch writes ``src_key_padding_mask`` of an encoder: repeated for each head."""
    model = separate(3, 4, batch=batch)
    extra = build(
        f"""g (bool[{batch},5] mask, float[{batch},3,5,5] l) => () {{
            w = Where(mask, hidden, shown)  m1 = Reshape(w, spread)
            m3 = Expand(m1, heads)  lm = Add(l, m3) }}""",
        {
            "hidden": np.float32(-1e9), "shown": np.float32(0), "spread": ints(-1, 1, 1, 5),
            "heads": ints(1, 3, 1, 5),
        },
    )  # fmt: skip
    model.graph.input.append(extra.graph.input[0])
    model.graph.initializer.extend(extra.graph.initializer)
    nodes = model.graph.node
    at = next(i for i, node in enumerate(nodes) if node.op_type == "Softmax")
    nodes[at].input[0] = "lm"
    for node in reversed(extra.graph.node):
        nodes.insert(at, node)
    analysis = analyse(model) if batch == 1 else analyse_open(model)
    assert units_along(analysis, "wq", 1) == 3
    assert analysis.removable("wq", 1).all()
    check(analysis, batches=(None,) if batch == 1 else (1, 2, 3))
