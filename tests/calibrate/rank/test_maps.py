"""Statistics of feature maps: means over images, within a memory bound."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.calibrate import channels_first, plan_taps
from wrg_onnx.calibrate.rank.maps import MapProbe, MapSource
from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import ACTIVATION, RANK
from wrg_onnx.graph import open_session

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


WEIGHTS = {"w1": floats(6, 3, 3, 3), "w2": floats(5, 6, 3, 3), "w3": floats(1, 5, 1, 1)}
BODY = """(float[1,3,12,10] x) => (float[1,1,12,10] y) {
    c = Conv<pads=[1,1,1,1]>(x, w1)  a = Relu(c)
    d = Conv<pads=[1,1,1,1]>(a, w2)  b = Sigmoid(d)
    y = Conv(b, w3)
}"""


def dataset(*images):
    readers = tuple(lambda image=image: Sample("s", {"x": image}, None) for image in images)
    return DataSet(readers, "images", len(readers), has_masks=False)


@pytest.fixture
def units(analysed):
    return analysed(BODY, WEIGHTS)


IMAGES = [floats(1, 3, 12, 10) for _ in range(3)]


def test_means_are_those_of_a_direct_computation(units, measured):
    taps = plan_taps(units)
    assert [tap.tensor for tap in taps] == ["a", "b"]
    found = measured(MapProbe(MapSource(units.graph, taps), [RANK]), taps, dataset(*IMAGES))
    session = open_session(units.graph, outputs=["a", "b"])
    runs = [session.run({"x": image}) for image in IMAGES]
    pairs = zip(taps, found.layers(RANK), found.layers(ACTIVATION), strict=True)
    for tap, rank, activation in pairs:
        maps = np.concatenate([channels_first(tap, run[tap.tensor]) for run in runs])
        ranks = np.array([[np.linalg.matrix_rank(m) for m in image] for image in maps])
        np.testing.assert_allclose(rank.values, ranks.mean(axis=0) / 10)
        np.testing.assert_allclose(
            activation.values, np.abs(maps).mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-9
        )
        assert rank.layer == activation.layer == tap.tensor
        np.testing.assert_array_equal(rank.units, tap.units)
    assert found.images == 3


def test_images_count_as_often_as_they_are_drawn(units, measured):
    taps = plan_taps(units)
    probe = MapProbe(MapSource(units.graph, taps), [ACTIVATION])
    weighted = measured(probe, taps, dataset(*IMAGES)).layers(ACTIVATION, np.array([2.0, 0.0, 1.0]))
    drawn = measured(probe, taps, dataset(IMAGES[0], IMAGES[0], IMAGES[2])).layers(ACTIVATION)
    for one, other in zip(weighted, drawn, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-12)


def test_a_small_bound_gives_the_same_numbers(units):
    taps = plan_taps(units)
    sample = dataset(IMAGES[0])[0]
    whole, parts = (
        MapProbe(MapSource(units.graph, taps, bound_bytes=bound), [RANK]).measure([sample])[0]
        for bound in (2**30, 1)
    )
    for factor in (RANK, ACTIVATION):
        np.testing.assert_array_equal(whole[factor], parts[factor])


def test_ranks_are_taken_only_when_asked_for(units):
    probe = MapProbe(MapSource(units.graph, plan_taps(units)), [ACTIVATION])
    assert probe.factors == (ACTIVATION,)
    assert list(probe.measure([dataset(IMAGES[0])[0]])[0]) == [ACTIVATION]


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_a_hole_names_the_feature_map_and_the_image(units, hole):
    image = floats(1, 3, 12, 10)
    image[0, 0, 0, 0] = hole
    probe = MapProbe(MapSource(units.graph, plan_taps(units)), [RANK])
    with pytest.raises(StatisticsError, match="'a' of 's' holds NaN or infinity"):
        probe.measure([dataset(image)[0]])


def test_integer_maps_are_measured_from_their_zero_point(analysed, measured):
    constants = {
        "s": np.float32(0.05), "z": np.uint8(128), "v": floats(1, 5, 1, 1), "e": np.float32(0.2),
        "k": RNG.integers(0, 256, (6, 3, 1, 1)).astype(np.uint8), "o": np.uint8(100),
        "l": RNG.integers(0, 256, (5, 6, 1, 1)).astype(np.uint8),
    }  # fmt: skip
    units = analysed(
        """(float[1,3,12,10] x) => (float[1,1,12,10] y) {
            q = QuantizeLinear(x, s, z)
            c = QLinearConv(q, s, z, k, s, z, e, o)
            d = QLinearConv(c, e, o, l, s, z, e, z)  f = DequantizeLinear(d, e, z)  a = Relu(f)
            y = Conv(a, v)
        }""",
        constants,
    )
    taps = plan_taps(units)
    assert [(tap.tensor, tap.zero_point) for tap in taps] == [("c", 100), ("a", 128)]
    found = measured(MapProbe(MapSource(units.graph, taps), [RANK]), taps, dataset(IMAGES[0]))
    values = open_session(units.graph, outputs=["c", "a"]).run({"x": IMAGES[0]})
    means = {
        "c": np.abs(values["c"].astype(float) - 100).mean(axis=(0, 2, 3)),
        "a": values["a"].mean(axis=(0, 2, 3), dtype=np.float64),
    }
    for layer in found.layers(ACTIVATION):
        np.testing.assert_allclose(layer.values, means[layer.layer], rtol=1e-6)


def test_a_map_with_random_numbers_does_not_depend_on_what_came_before(analysed):
    noisy = BODY.replace("a = Relu(c)", "n = RandomNormalLike(c)  m = Add(c, n)  a = Relu(m)")
    units = analysed(noisy, WEIGHTS)
    probe = MapProbe(MapSource(units.graph, plan_taps(units)), [RANK])
    first, _, again = probe.measure([*dataset(IMAGES[0], IMAGES[1], IMAGES[0])])
    for factor in probe.factors:
        np.testing.assert_array_equal(first[factor], again[factor])
