"""Factors of one's own: what is registered, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.calibrate import (
    CollectOptions,
    all_factors,
    collect,
    map_factor,
    of_filters,
    plan_taps,
    weights_factor,
)
from wrg_onnx.calibrate.rank.maps import MapProbe, MapSource
from wrg_onnx.calibrate.registry import measure_maps, measures_maps, measures_weights
from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import (
    ACTIVATION,
    BATCH_SCALE,
    DISTANCE,
    GRADIENT,
    L1,
    L2,
    RANK,
    WEIGHT,
    Factor,
    Source,
)

pytestmark = pytest.mark.usefixtures("own_registry")

RNG = np.random.default_rng(0)
MAPS = RNG.standard_normal((3, 4, 6, 5)).astype(np.float32)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def energy(maps):
    return np.square(maps, dtype=np.float64).mean(axis=(2, 3))


def test_our_own_factors_are_registered():
    ours = {WEIGHT, RANK, GRADIENT, L1, L2, DISTANCE, ACTIVATION, BATCH_SCALE}
    assert set(all_factors()) == ours


@pytest.mark.parametrize(
    ("source", "maps", "gradient"),
    [(Source.WEIGHTS, False, False), (Source.MAPS, True, False), (Source.BACKWARD, False, True)],
)
def test_a_source_says_what_it_needs(source, maps, gradient):
    assert (source.needs_maps, source.needs_gradient) == (maps, gradient)
    assert source.needs_data == (maps or gradient)


def test_numbers_per_map_are_averaged_over_the_maps_of_an_image():
    factor = map_factor("energy", energy, version=1)
    whole = map_factor("whole", lambda maps: energy(maps).mean(axis=0), version=1)
    found = [measure_maps(one, MAPS, "a") for one in (factor, whole)]
    np.testing.assert_array_equal(found[0], energy(MAPS).mean(axis=0))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", ["rank", "gradient", "weight", "energy"])
@pytest.mark.parametrize("register", [map_factor, weights_factor])
def test_a_name_that_is_taken_is_refused(name, register):
    map_factor("energy", energy, version=1)
    with pytest.raises(ValueError, match=f"there is a factor '{name}' already"):
        register(name, energy, version=2)


def test_a_factor_is_bound_once():
    with pytest.raises(ValueError, match="there is a factor 'rank' already"):
        measures_maps(RANK)


@pytest.mark.parametrize(
    ("bind", "source", "message"),
    [
        (measures_weights, Source.MAPS, "'energy' has the source 'maps', expected 'weights'"),
        (measures_maps, Source.WEIGHTS, "'energy' has the source 'weights', expected 'maps'"),
        (measures_maps, Source.BACKWARD, "'energy' has the source 'backward', expected 'maps'"),
    ],
)
def test_a_factor_of_another_source_is_refused(bind, source, message):
    with pytest.raises(ValueError, match=message):
        bind(Factor("energy", 1, source))


@pytest.mark.parametrize("name", ["", "Energy", "1st", "a factor", "a.b", "_key"])
def test_a_name_that_is_no_word_is_refused(name):
    with pytest.raises(ValueError, match="lower-case letters"):
        map_factor(name, energy, version=1)


def test_a_version_below_one_is_refused():
    with pytest.raises(ValueError, match="'energy': version must be at least 1"):
        Factor("energy", 0, Source.MAPS)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda maps: maps, r"'energy' gave numbers of shape \(3, 4, 6, 5\) for the maps of 'a'"),
        (lambda maps: maps.mean(axis=(1, 2, 3)), r"expected \(3, 4\) or \(4,\)"),
        (
            lambda maps: -energy(maps),
            "'energy' gave -.* for a map of 'a': expected a number from 0",
        ),
        (lambda maps: energy(maps) * np.nan, "'energy' gave nan for a map of 'a'"),
        (lambda maps: energy(maps) + 10, "from 0 to 8"),
    ],
)
def test_what_is_no_number_of_a_channel_is_refused(measure, message):
    factor = map_factor("energy", measure, version=1, most=8.0)
    with pytest.raises(StatisticsError, match=message):
        measure_maps(factor, MAPS, "a")


BODY = """(float[1,3,8,8] x) => (float[1,1,8,8] y) {
    c = Conv<pads=[1,1,1,1]>(x, w)  a = Relu(c)  y = Conv(a, v)
}"""


@pytest.fixture
def units(analysed):
    return analysed(BODY, {"w": floats(4, 3, 3, 3), "v": floats(1, 4, 1, 1)})


def images(*arrays):
    readers = tuple(lambda array=array: Sample("s", {"x": array}, None) for array in arrays)
    return DataSet(readers, "images", len(arrays), has_masks=False)


def test_own_factors_are_collected_beside_ours(units):
    largest = weights_factor(
        "largest", lambda units: of_filters(units, lambda rows: np.abs(rows).max(axis=1)), version=1
    )
    own = map_factor("energy", energy, version=1)
    data = images(floats(1, 3, 8, 8), floats(1, 3, 8, 8))
    found = collect(units, data, CollectOptions(frozenset({largest, own, RANK}))).statistics
    assert set(found.factors) == {largest, own, RANK, ACTIVATION}
    weight = units.constants["w"]
    np.testing.assert_array_equal(found.of(largest)[0].values, np.abs(weight).max(axis=(1, 2, 3)))
    (layer,) = found.of(own)
    assert layer.layer == "a"
    assert (layer.values > 0).all()


def test_the_same_maps_are_given_on_a_device(units):
    pytest.importorskip("torch")
    from wrg_onnx.calibrate.rank.device_maps import DeviceMapProbe

    own = map_factor("energy", energy, version=1)
    source = MapSource(units.graph, plan_taps(units))
    samples = [*images(floats(1, 3, 8, 8), floats(1, 3, 8, 8))]
    probes = MapProbe(source, [own]), DeviceMapProbe(source, [own])
    assert probes[0].factors == probes[1].factors == (ACTIVATION, own)
    for one, other in zip(*(probe.measure(samples) for probe in probes), strict=True):
        np.testing.assert_array_equal(one[own], other[own])


def test_a_map_that_is_not_finite_is_blamed_on_the_map(units):
    own = map_factor("energy", energy, version=1)
    image = floats(1, 3, 8, 8)
    image[0, 0, 0, 0] = np.nan
    probe = MapProbe(MapSource(units.graph, plan_taps(units)), [own])
    with pytest.raises(StatisticsError, match="feature map 'a' of 's' holds NaN"):
        probe.measure([*images(image)])
