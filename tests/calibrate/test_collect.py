"""Only what a criterion needs is measured, and imported."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from wrg_onnx.calibrate import CollectOptions, Measurements, collect, plan_taps, probes
from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.errors import MissingPackageError, StatisticsError
from wrg_onnx.factors import ACTIVATION, BATCH_SCALE, DISTANCE, GRADIENT, L1, L2, RANK, WEIGHT
from wrg_onnx.graph import Provider

RNG = np.random.default_rng(0)
BODY = """(float[1,3,8,8] x) => (float[1,1,8,8] y) {
    c = Conv<pads=[1,1,1,1]>(x, w1)  n = BatchNormalization(c, s, b, m, v)  a = Relu(n)
    y = Conv(a, w2)
}"""


@pytest.fixture
def units(analysed):
    shapes = {"w1": (4, 3, 3, 3), "w2": (1, 4, 1, 1), "s": 4, "b": 4, "m": 4, "v": 4}
    return analysed(BODY, {n: RNG.uniform(0.1, 1, s).astype("f") for n, s in shapes.items()})


def images(count=2):
    image = RNG.standard_normal((1, 3, 8, 8)).astype(np.float32)
    readers = (lambda: Sample("s", {"x": image}, None),) * count
    return DataSet(readers, "images", count, has_masks=False)


def refuse():
    raise AssertionError("an image was read")


def options(*factors, **more):
    return CollectOptions(frozenset(factors), **more)


UNREAD = DataSet((refuse,), "images", 1, has_masks=False)


@pytest.mark.parametrize(
    ("wanted", "measured"),
    [
        (set(), set()),
        ({WEIGHT}, {WEIGHT}),
        ({L1, L2}, {L1, L2}),
        ({DISTANCE}, {DISTANCE}),
        ({BATCH_SCALE}, {BATCH_SCALE}),
        ({RANK}, {RANK, ACTIVATION}),
        ({ACTIVATION}, {ACTIVATION}),
        ({GRADIENT}, {GRADIENT}),
        ({WEIGHT, RANK, GRADIENT}, {WEIGHT, RANK, ACTIVATION, GRADIENT}),
        ({DISTANCE, ACTIVATION}, {DISTANCE, ACTIVATION}),
    ],
)
def test_only_what_is_asked_for_is_measured(units, wanted, measured):
    found = collect(units, images(), options(*wanted)).statistics
    assert set(found.factors) == measured
    assert all(found.of(factor) for factor in measured)
    assert found.images == (2 if any(factor.source.needs_data for factor in measured) else 0)


def test_weights_alone_read_no_image(units):
    assert collect(units, UNREAD, options(WEIGHT)).statistics.images == 0
    assert set(collect(units, None, options(WEIGHT, RANK)).statistics.factors) == {WEIGHT}


def test_without_torch_a_gradient_is_refused_before_any_image_is_read(units, monkeypatch):
    monkeypatch.delitem(sys.modules, "wrg_onnx.calibrate.gradient.probe", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackageError, match=r"wrg-onnx\[torch\].*--criterion wr"):
        collect(units, UNREAD, options(RANK, GRADIENT))


def test_an_import_that_fails_inside_torch_is_not_called_missing(units, monkeypatch):
    monkeypatch.delitem(sys.modules, "wrg_onnx.calibrate.gradient.probe", raising=False)
    monkeypatch.setitem(sys.modules, "wrg_onnx.twin", None)
    with pytest.raises(ImportError) as caught:
        collect(units, UNREAD, options(GRADIENT))
    assert not isinstance(caught.value, MissingPackageError)


def test_importing_calibration_imports_neither_torch_nor_onnx_runtime():
    code = (
        "import sys, wrg_onnx.calibrate.collect, wrg_onnx.data.dataset\n"
        "print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_feature_map_one_line_names_the_way_out(analysed):
    body = "(int64[1,3] i) => (float[1,3,2] y) { e = Gather(t, i)  y = MatMul(e, w) }"
    table, weight = (RNG.standard_normal(s).astype("f") for s in ((9, 8), (8, 2)))
    units = analysed(body, {"t": table, "w": weight})
    with pytest.raises(StatisticsError, match="--criterion l1"):
        collect(units, UNREAD, options(ACTIVATION))


def test_blocks_of_images_change_no_number(units, monkeypatch):
    asked = options(RANK, GRADIENT, least=2)
    data = images(11)
    one_by_one = collect(units, data, asked).statistics
    monkeypatch.setattr(probes, "BLOCK_ON_CPU", 4)
    told = []
    found = collect(units, data, asked, progress=lambda *step: told.append(step[1:])).statistics
    assert told == [(4, 11), (8, 11), (11, 11)]
    assert found.images == one_by_one.images == 11
    for factor in (RANK, ACTIVATION, GRADIENT):
        pairs = zip(found.of(factor), one_by_one.of(factor), strict=True)
        assert all(np.allclose(a.values, b.values, rtol=1e-5) for a, b in pairs)


def different_images(count):
    def reader(number):
        image = np.random.default_rng(number).standard_normal((1, 3, 8, 8)).astype(np.float32)
        return lambda: Sample("s", {"x": image}, None)

    return DataSet(tuple(map(reader, range(count))), "images", count, has_masks=False)


def by_spread(statistics, weighted):
    """Be sure where another draw of the images moves no rank and no gradient."""
    drawn = weighted(np.arange(statistics.images, dtype=np.float64) % 3)
    moved = [
        abs(a.values - b.values).max() / b.values.max()
        for factor in (RANK, GRADIENT)
        for a, b in zip(drawn.of(factor), statistics.of(factor), strict=True)
    ]
    return 1 - min(1.0, float(max(moved)))


def test_ranks_stop_early_where_they_are_alike_and_gradients_go_on(units):
    # Noise of 8 x 8 behind Relu: nearly all have full rank, while gradients differ.
    data, asked = different_images(40), options(RANK, GRADIENT, enough=0.999)
    found = collect(units, data, asked, certainty=by_spread).statistics
    assert found.images == found.images_of[GRADIENT] == 40
    assert found.images_of[RANK] == found.images_of[ACTIVATION] < 20
    whole = collect(units, data, asked).statistics
    alone = collect(units, data.take(range(found.images_of[RANK])), options(RANK)).statistics
    assert same(found, whole, GRADIENT)
    assert same(found, alone, RANK)


def test_a_factor_is_measured_on_all_images_where_that_is_asked_for(units):
    asked = options(RANK, GRADIENT, enough=1.0)
    found = collect(units, different_images(30), asked, certainty=lambda *_: 1.0)
    assert set(found.statistics.images_of.values()) == {30}
    assert found.certainty == 1.0


def test_few_images_are_all_used_for_all_factors(units):
    asked = options(RANK, GRADIENT)
    found = collect(units, different_images(12), asked, certainty=lambda *_: 1.0)
    assert set(found.statistics.images_of.values()) == {12}
    assert found.certainty is None


def test_what_is_drawn_anew_for_a_factor_leaves_the_others_alone(units):
    seen = []

    def certainty(statistics, weighted):
        times = np.zeros(statistics.images)
        times[-1] = 1
        drawn = weighted(times)
        seen.append(tuple(not same(drawn, statistics, f) for f in (RANK, GRADIENT)))
        return 0.5

    asked = options(RANK, GRADIENT, least=8)
    data = different_images(9)
    collect(units, data, asked, certainty=certainty)
    # All factors, then those of each probe alone, the gradient first; at the end all once more.
    assert [gradient for _, gradient in seen] == [True, True, False, True]


def test_an_image_that_a_factor_was_not_measured_on_counts_for_the_others_alone(units):
    taps = plan_taps(units)
    rows = {RANK: np.array([[1.0] * 4]), GRADIENT: np.array([[1.0] * 4, [3.0] * 4])}
    found = Measurements(taps, rows, 2)
    assert found.images_of == {RANK: 1, GRADIENT: 2}
    times = np.array([0.0, 2.0])
    assert found.layers(RANK, times)[0].values.tolist() == [1.0] * 4
    assert found.layers(GRADIENT, times)[0].values.tolist() == [3.0] * 4
    assert found.layers(GRADIENT)[0].values.tolist() == [2.0] * 4


def same(one, other, factor):
    pairs = zip(one.of(factor), other.of(factor), strict=True)
    return all(np.array_equal(a.values, b.values) for a, b in pairs)


def test_a_model_without_anything_to_remove_needs_no_image(analysed):
    units = analysed("(float[1,3] x) => (float[1,3] y) { y = Relu(x) }")
    asked = options(WEIGHT, RANK, GRADIENT)
    assert collect(units, UNREAD, asked).statistics.images == 0


def test_gradients_on_the_cpu_beside_a_gpu_are_told(units, monkeypatch):
    monkeypatch.setattr(probes, "resolve_provider", lambda _: Provider.CUDA)
    monkeypatch.setattr(probes, "_torch_has_a_gpu", lambda: False)
    found = collect(units, images(), options(GRADIENT))
    assert found.notes == ("the gradient was taken on the CPU: this torch finds no GPU",)
