"""Sums over all places, pair of taps by pair of taps, against the sums over patches."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.graph.load import from_proto
from wrg_onnx.recover import grid_sums
from wrg_onnx.recover.gram_sums import GramSums, Origin
from wrg_onnx.recover.grid_sums import GridSums, kernel_of_all_places
from wrg_onnx.recover.layers import find_layers
from wrg_onnx.recover.patches import rows_shape, sampled_patches


def convolution(kernel, attributes, shape):
    """Return a convolution to 4 channels, and the patches of all places of an input."""
    weight = normal(4, shape[1], *kernel)
    sizes = ",".join(map(str, shape))
    text = f"net (float[{sizes}] x) => (float[] y) {{ y = Conv<{attributes}>(x, w) }}"
    (layer,) = find_layers(from_proto(build(text, {"w": weight}), name="m")).layers
    rows = rows_shape(layer, weight.shape, shape)
    x = normal(*shape, seed=1) + 2
    return sampled_patches(layer, weight.shape, x, np.arange(np.prod(rows))), rows, layer, weight


@pytest.mark.parametrize("shape", [(1, 3, 6, 7), (2, 3, 5, 5), (1, 2, 1, 4)])
@pytest.mark.parametrize(
    ("kernel", "attributes"),
    [
        ((3, 3), "pads = [1, 1, 1, 1]"),
        ((3, 3), "pads = [2, 0, 1, 3]"),
        ((1, 4), "pads = [0, 2, 0, 1]"),
        ((5, 2), "pads = [2, 1, 2, 0]"),
    ],
)
def test_the_sums_are_those_of_all_patches(kernel, attributes, shape):
    patches, rows, _, _ = convolution(kernel, attributes, shape)
    sums = GramSums.empty(1, patches.shape[1], 0, Origin())
    whole = GridSums(sums, kernel)
    for _ in range(3):
        whole.add(patches.copy(), rows[1:])
    whole.add(patches[..., : rows[1] * rows[2]].copy(), rows[1:])
    whole.flush()
    x = np.concatenate([patches] * 3 + [patches[..., : rows[1] * rows[2]]], axis=2)[0].astype(float)
    assert sums.rows == x.shape[1]
    expected = np.cov(x, bias=True)
    np.testing.assert_allclose(sums.covariance_x()[0], expected, atol=1e-5)
    mean = sums.x[0] / sums.rows + sums.origin.x[0, :, 0]
    np.testing.assert_allclose(mean, x.mean(axis=1), atol=1e-5)


def test_maps_of_several_sizes_add_up():
    sums, parts = GramSums.empty(1, 18, 0, Origin()), []
    whole = GridSums(sums, (3, 3))
    for height in (4, 4, 6):
        patches, rows, _, _ = convolution((3, 3), "pads = [1, 1, 1, 1]", (1, 2, height, 5))
        whole.add(patches, rows[1:])
        parts.append(patches[0].astype(float))
    whole.flush()
    expected = np.cov(np.concatenate(parts, axis=1), bias=True)
    np.testing.assert_allclose(sums.covariance_x()[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "attributes", "wanted", "served"),
    [
        ((3, 3), "pads = [1, 1, 1, 1]", 32, (3, 3)),
        ((3, 3), "pads = [1, 1, 1, 1]", 31, None),
        ((1, 3), "strides = [1, 1], dilations = [1, 1]", 64, (1, 3)),
        ((1, 1), "group = 1", 64, None),
        ((3, 3), "strides = [2, 2]", 64, None),
        ((3, 3), "dilations = [2, 2]", 64, None),
    ],
)
def test_which_layers_are_looked_at_in_all_places(kernel, attributes, wanted, served, monkeypatch):
    monkeypatch.setattr(grid_sums, "WIDE", 9)
    shape = (1, 3, 8, 8)
    _, _, layer, weight = convolution(kernel, attributes, shape)
    assert kernel_of_all_places(layer, weight.shape, shape, wanted) == served
    monkeypatch.setattr(grid_sums, "WIDE", 28)
    assert kernel_of_all_places(layer, weight.shape, shape, wanted) is None
