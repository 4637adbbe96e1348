"""Spectra of feature maps are their singular values."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.calibrate import plan_taps
from wrg_onnx.calibrate.rank.maps import MapSource
from wrg_onnx.calibrate.rank.ranks import numerical_ranks
from wrg_onnx.calibrate.rank.spectra import MAPS_OF_AN_IMAGE, map_spectra, spectra_of
from wrg_onnx.data.dataset import Sample

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 2, 5, 9), (1, 1, 9, 5), (1, 2, 1, 1)])
def test_a_spectrum_is_what_numpy_finds_over_the_largest(shape):
    maps = RNG.standard_normal(shape).astype(np.float32)
    values = np.linalg.svd(maps.astype(float).reshape(-1, *shape[2:]), compute_uv=False)
    np.testing.assert_allclose(spectra_of(maps), values / values[:, :1], rtol=1e-12)


def test_as_many_values_as_the_rank_are_not_zero():
    product = RNG.standard_normal((12, 5)) @ RNG.standard_normal((5, 20))
    maps = product.astype(np.float32)[None, None]
    (values,) = spectra_of(maps)
    assert (values > 20 * np.finfo(np.float32).eps).sum() == numerical_ranks(maps).item() == 5
    assert values[0] == 1
    assert (np.diff(values) <= 0).all()


def test_channels_are_taken_at_even_distances():
    maps = RNG.standard_normal((1, 3 * MAPS_OF_AN_IMAGE, 6, 6))
    np.testing.assert_array_equal(spectra_of(maps), spectra_of(maps[:, ::3]))


def test_maps_of_zeros_and_such_as_are_not_finite_have_no_spectrum():
    maps = RNG.standard_normal((1, 3, 6, 6))
    maps[0, 0], maps[0, 1, 2, 3] = 0, np.nan
    np.testing.assert_array_equal(spectra_of(maps), spectra_of(maps[:, 2:]))
    assert spectra_of(np.zeros((1, 2, 6, 7))).shape == (0, 6)


def test_a_sequence_is_a_matrix_as_it_is_for_its_rank():
    maps = RNG.standard_normal((1, 1, 16, 1))
    np.testing.assert_array_equal(spectra_of(maps), spectra_of(maps.reshape(1, 1, 4, 4)))


def test_a_layer_has_the_mean_over_maps_and_samples():
    text = """net (float[1,3,8,8] x) => (float[1,2,8,8] y) {
      a = Conv(x, wa)  r = Relu(a)  d = Conv(r, dead)  e = Relu(d)  y = Conv(e, wy) }"""
    weights = {
        "wa": normal(3, 3, 1, 1), "dead": np.zeros((3, 3, 1, 1), np.float32),
        "wy": normal(2, 3, 1, 1),
    }  # fmt: skip
    model = build(text, weights)
    found = analyse(model)
    samples = [
        Sample(f"{n}", {"x": RNG.standard_normal((1, 3, 8, 8)).astype(np.float32)}, None)
        for n in range(2)
    ]
    # What is zero everywhere has no spectrum.
    (one,) = map_spectra(MapSource(found.graph, plan_taps(found.units)), samples)
    maps = [
        np.maximum(np.einsum("oc,nchw->nohw", weights["wa"][..., 0, 0], s.feeds["x"]), 0)
        for s in samples
    ]
    expected = np.concatenate([spectra_of(m) for m in maps])
    assert (one.layer, one.maps) == ("r", len(expected))
    np.testing.assert_allclose(one.values, expected.mean(axis=0), rtol=1e-4, atol=1e-6)
