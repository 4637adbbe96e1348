"""The trials of where rows come from draw as they say, and leave the package as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from choice_table import Bench
from places_table import (
    Draw,
    Setting,
    coarser,
    counting,
    dilated,
    drawn_by,
    energy,
    in_proportion,
    mean_error,
    output_map,
)
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.recover import MeasureOptions, RowOptions, measure_layers

MODEL = Path(__file__).parents[3] / "models" / "tiny_unet.onnx"
CONFIG = PruneConfig(0.5, data=DataOptions(samples=2), recover=Recovery.RIDGE)


@pytest.fixture(scope="module")
def bench():
    return Bench.of(MODEL, CONFIG, [])


def measured(bench):
    samples = bench.samples
    options = MeasureOptions(rows=RowOptions(samples.saliency))
    return measure_layers(bench.model.graph, samples.calibration, options)


def places(found):
    return {name: [rows.places.tolist() for rows in one.rows] for name, one in found.layers.items()}


@pytest.mark.parametrize("draw", [Draw.ACTIVATION, Draw.DEVIATION, Draw.OUTPUTS, Draw.GRADIENT])
def test_as_many_other_places_are_drawn_while_it_holds(draw, bench):
    if draw is Draw.GRADIENT:
        pytest.importorskip("torch")
    with drawn_by(Draw.EVENLY, bench) as own:
        evenly = places(measured(own))
    with drawn_by(draw, bench) as own:
        drawn = places(measured(own))
    assert drawn != evenly
    assert {k: [*map(len, v)] for k, v in drawn.items()} == {
        k: [*map(len, v)] for k, v in evenly.items()
    }
    with drawn_by(Draw.EVENLY, bench) as own:
        assert places(measured(own)) == evenly


def test_what_is_drawn_by_activation_is_larger(bench):
    squares = []
    for draw in (Draw.EVENLY, Draw.ACTIVATION):
        with drawn_by(draw, bench) as own:
            found = measured(own).layers.values()
        squares.append([np.square(one.rows[0].goal).mean() for one in found])
    evenly, drawn = np.array(squares)
    assert (drawn > evenly).mean() > 0.8


def test_energy_counts_channels_alike():
    maps = np.ones((1, 2, 2, 2), np.float32)
    maps[0, 1] = [[0, 0], [0, 100]]
    np.testing.assert_allclose(energy(maps, 1), [0.5, 0.5, 0.5, 2.5])
    # About its mean, the first channel is nothing anywhere.
    squares = np.array([625, 625, 625, 5625])
    np.testing.assert_allclose(energy(maps, 1, centred=True), squares / squares.mean() / 2)


def test_a_coarse_place_is_worth_the_most_that_it_covers():
    fine = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert coarser(fine, (1, 2, 2)).tolist() == [5, 7, 13, 15]
    assert coarser(fine[:2, :2], (1, 4, 2)).tolist() == [0, 1, 0, 1, 4, 5, 4, 5]


def test_scores_of_yolox_are_one_map_of_its_three():
    array = np.zeros((1, 3549, 85), np.float32)
    array[0, 52 * 52 + 26 + 1, [4, 7]] = 0.5, 0.8  # the second place of the second row of 26
    seen = np.argwhere(output_map({"output": array}) > 0.3)
    assert seen.tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_places_are_drawn_in_proportion():
    worth = np.zeros(100)
    worth[[3, 70]] = 1
    found = in_proportion(worth, 4, 0.5, np.random.default_rng(0))
    assert len(found) == 4
    assert {3, 70} <= set(found.tolist())


def test_an_object_grows_along_both_axes():
    assert dilated(np.array([6]), (1, 4, 4), 0).tolist() == [6]
    assert dilated(np.array([6]), (1, 4, 4), 1).tolist() == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert len(dilated(np.array([6]), (1, 4, 4), 9)) == 16


def test_a_setting_is_read_or_refused():
    assert Setting.parse("") == Setting()
    assert Setting.parse("share=0.25,dilation=1") == Setting(share=0.25, dilation=1)
    assert Setting.parse("masks,threshold=.1") == Setting(threshold=0.1, masks=True)
    with pytest.raises(Exception, match="there is no setting size"):
        Setting.parse("size=3")


@pytest.mark.parametrize(
    "setting", [Setting(dilation=2), Setting(threshold=0.9), Setting(masks=True)]
)
def test_a_setting_moves_places_while_it_holds(setting, bench):
    before = places(measured(bench))
    with counting(setting, bench.samples.calibration):
        assert places(measured(bench)) != before
    assert places(measured(bench)) == before


def test_a_model_has_the_level_of_its_own_map(bench):
    assert mean_error(bench, bench.model.graph, bench.samples.calibration) == 0
