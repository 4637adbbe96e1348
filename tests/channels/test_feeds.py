"""Random integers that a model is fed stay inside the tables that they index."""

from __future__ import annotations

import numpy as np
from strategies import build, normal

from wrg_onnx.channels import index_bounds, random_feeds
from wrg_onnx.graph import bind_sizes, infer_shapes
from wrg_onnx.graph.load import from_proto


def test_indices_stay_below_the_length_of_their_table():
    tables = {"t": normal(30, 4), "p": normal(20, 4), "g": normal(2, 4), "w": normal(4, 7)}
    model = build(
        """net (int32[1,90] i, int32[1,90] s, int64[1,90] q, int64[90] k) => (float[1,90,4] y) {
          y, m = com.microsoft.EmbedLayerNormalization(i, s, t, p, g, b, b, , c)
          c = Cast<to = 6>(q)  z = Gather<axis = 1>(w, k) }""",
        {**tables, "b": normal(4)}, domains=("com.microsoft",),
    )  # fmt: skip
    graph = from_proto(model, name="m")
    feeds = random_feeds(graph, bind_sizes(graph.inputs), np.random.default_rng(0))
    assert {name: array.max() for name, array in feeds.items()} == {
        "i": 29,
        "s": 1,
        "q": 19,
        "k": 6,
    }
    assert infer_shapes(graph, bind_sizes(graph.inputs), index_bounds(graph))["y"] == (1, 90, 4)


def test_a_mask_that_is_summed_up_to_positions_is_fed_zeros_and_ones():
    model = build(
        """net (int64[N,S] mask) => (float[N,S,4] y) {
          c = Cast<to = 6>(mask)  p = CumSum(c, one)  y = Gather(table, p) }""",
        {"one": np.int64(1), "table": normal(40, 4)},
    )
    graph = from_proto(model, name="m")
    assert infer_shapes(graph, bind_sizes(graph.inputs), index_bounds(graph))["y"] == (1, 16, 4)
    feeds = random_feeds(graph, {"mask": (3, 16)}, np.random.default_rng(0))
    assert set(feeds["mask"].reshape(-1)) == {0, 1}


def test_a_mask_hides_some_of_each_row_and_not_all():
    graph = from_proto(
        build("net (bool[N,3] m, bool[1] f) => (bool[N,3] y) { y = Or(m, f) }"), name="m"
    )
    feeds = random_feeds(graph, {"m": (200, 3), "f": (1,)}, np.random.default_rng(0))
    assert feeds["m"].any(axis=1).all()
    assert not feeds["m"].all(axis=1).any()
    assert feeds["f"].shape == (1,)
