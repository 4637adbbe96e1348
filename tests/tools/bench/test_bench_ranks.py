from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench_ranks import HEADS, LARGE, WAYS, of_images, of_less, orders
from wrg_onnx.calibrate.rank.ranks import rank_shares
from wrg_onnx.factors import LayerValues
from wrg_onnx.graph import Provider
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.samples import open_samples

TINY = Path(__file__).parents[3] / "models" / "tiny_unet.onnx"


@pytest.mark.parametrize(
    ("table", "images", "names"),
    [(of_images, 18, ["tiny_unet"]), (of_less, 1, list(WAYS))],
    ids=["of images", "of less"],
)
def test_a_table_has_a_row_for_each_way(table, images, names, monkeypatch):
    monkeypatch.setattr("bench_ranks.LARGE", 80)  # the largest maps of this net
    data = DataOptions(samples=images)
    model = analyse(TINY, data)
    samples = open_samples(
        model.graph, model.input_shapes, data, model.graph, provider=Provider.CPU, seed=0
    )
    rows = list(table("tiny_unet", model, samples, PruneConfig(0.5, data=data)))
    assert len(rows) == len(names)
    assert all(name in row for name, row in zip(names, rows, strict=True))
    assert {len(row) for row in rows} == {len(HEADS[table])} <= set(range(81))


def test_a_projection_keeps_a_rank_that_it_is_larger_than_and_cuts_off_the_others():
    rng = np.random.default_rng(0)
    ranks = (5, 40, 90)
    maps = np.stack(
        [rng.standard_normal((LARGE, n)) @ rng.standard_normal((n, LARGE)) for n in ranks]
    )[None].astype(np.float32)
    assert (LARGE * rank_shares(maps)).tolist() == list(ranks)
    assert (64 * WAYS["P A Q, 64"](maps)).tolist() == [5, 40, 64]


def test_an_order_is_compared_where_channels_differ_on_large_maps():
    def layer(name, *values):
        return LayerValues(name, np.arange(3), np.array(values, float))

    true = [layer("a", 1, 2, 3), layer("b", 1, 2, 3), layer("c", 1, 1, 1), layer("d", 1, 2, 3)]
    other = [layer("a", 3, 2, 1), layer("b", 2, 2, 2), layer("c", 1, 2, 3), layer("d", 1, 2, 3)]
    assert list(orders(true, other, {"a", "b", "c"})) == [-1.0, 0.0]
