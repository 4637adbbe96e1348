"""R: numerical ranks are those that numpy finds for float32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrg_onnx.calibrate.rank import ranks
from wrg_onnx.calibrate.rank.ranks import matrix_view, numerical_ranks
from wrg_onnx.errors import StatisticsError


def reference(maps):
    flat = maps.reshape(-1, *maps.shape[2:])
    return np.array([np.linalg.matrix_rank(m) for m in flat], float).reshape(maps.shape[:2])


def of_rank(rank, height, width, seed=0):
    rng = np.random.default_rng(seed)
    product = rng.standard_normal((height, rank)) @ rng.standard_normal((rank, width))
    return product.astype(np.float32)[None, None]


@pytest.mark.parametrize("shape", [(8, 8), (5, 17), (17, 5), (56, 56), (1, 9), (9, 1), (1, 1)])
def test_random_maps_have_full_rank(shape):
    maps = np.random.default_rng(0).standard_normal((2, 3, *shape)).astype(np.float32)
    np.testing.assert_array_equal(numerical_ranks(maps), np.full((2, 3), min(shape)))
    np.testing.assert_array_equal(numerical_ranks(maps), reference(maps))


@pytest.mark.parametrize("rank", [1, 2, 7, 15])
@pytest.mark.parametrize("shape", [(16, 16), (16, 40), (40, 16)])
def test_deficient_maps_have_their_rank(rank, shape):
    maps = of_rank(rank, *shape)
    assert numerical_ranks(maps).item() == reference(maps).item() == rank


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e-3, 1e3, 1e12, 1e30])
def test_scale_does_not_change_a_rank(scale):
    maps = of_rank(5, 12, 12) * np.float32(scale)
    assert numerical_ranks(maps).item() == 5


@pytest.mark.parametrize("shape", [(6, 6), (1, 6), (6, 1), (1, 1), (6, 3)])
def test_a_map_of_zeros_has_rank_zero(shape):
    assert numerical_ranks(np.zeros((1, 2, *shape), np.float32)).tolist() == [[0, 0]]


@pytest.mark.parametrize("shape", [(6, 6), (1, 6), (6, 1), (1, 1), (6, 3)])
def test_a_constant_map_has_rank_one(shape):
    assert numerical_ranks(np.full((1, 1, *shape), -0.3, np.float32)).item() == 1


def test_one_pixel_is_rank_one():
    maps = np.zeros((1, 1, 32, 32), np.float32)
    maps[0, 0, 3, 7] = 1e-20
    assert numerical_ranks(maps).item() == 1


def test_maps_after_a_relu_agree_with_numpy():
    rng = np.random.default_rng(3)
    maps = np.maximum(rng.standard_normal((2, 8, 20, 28)) - 1.5, 0).astype(np.float32)
    maps[:, ::2, 5:] = 0
    np.testing.assert_array_equal(numerical_ranks(maps), reference(maps))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**16), st.integers(1, 14), st.integers(1, 14), st.integers(0, 14),
    st.sampled_from([1e-6, 1.0, 1e6]),
)  # fmt: skip
def test_ranks_are_numpys_in_float32(seed, height, width, rank, scale):
    maps = of_rank(min(rank, height, width), height, width, seed) * np.float32(scale)
    np.testing.assert_array_equal(numerical_ranks(maps), reference(maps))


AWKWARD = (
    "noise", "smooth", "low rank", "blocks", "sparse", "rectified", "zeros", "ones", "minus ones",
    "faint", "identity", "wide pixels", "centred rows", "fading", "tall pixels",
)  # fmt: skip


def awkward(side):
    """Maps of many kinds, (1, kinds, side, side + 9)."""
    rng = np.random.default_rng(side)
    noise = rng.standard_normal((side, side + 9)).astype(np.float32)
    low = of_rank(side // 2, side, side + 9)[0, 0]
    blocks = np.zeros_like(noise)
    blocks[:2, :2], blocks[3:6, 4:8] = 5, noise[3:6, 4:8]
    kinds = [
        noise, np.outer(np.hanning(side), np.hanning(side + 9)), low, blocks,
        np.maximum(noise - 2, 0), np.maximum(low, 0), np.zeros_like(noise), np.ones_like(noise),
        -np.ones_like(noise), noise * 1e-25, np.eye(*noise.shape),
        np.repeat(noise[:, ::3], 3, axis=1)[:, : side + 9],
        noise - noise.mean(axis=1, keepdims=True), noise * np.logspace(0, -12, side + 9),
        np.repeat(noise[::2], 2, axis=0)[:side],
    ]  # fmt: skip
    return np.stack([np.asarray(kind, np.float32) for kind in kinds])[None]


@pytest.mark.parametrize("side", [9, 100])
@pytest.mark.parametrize("turned", [False, True])
def test_awkward_maps_have_the_ranks_of_their_eigenvalues(side, turned):
    maps = awkward(side).swapaxes(2, 3) if turned else awkward(side)
    found = numerical_ranks(maps)[0]
    for name, one, rank in zip(AWKWARD, maps[0].astype(np.float64), found, strict=True):
        singular = np.linalg.svd(one, compute_uv=False)
        threshold = singular[0] * (side + 9) * np.finfo(np.float32).eps
        assert rank == (singular > threshold).sum(), name


@pytest.mark.parametrize("bound", [1, 3000, 2**30])
def test_ranks_do_not_depend_on_how_maps_are_shared_out(monkeypatch, bound):
    maps = awkward(24)
    whole = numerical_ranks(maps)
    monkeypatch.setattr(ranks, "PART_BYTES", bound)
    np.testing.assert_array_equal(numerical_ranks(maps), whole)


def test_no_maps_have_no_ranks():
    assert numerical_ranks(np.zeros((0, 4, 5, 5), np.float32)).shape == (0, 4)
    assert numerical_ranks(np.zeros((2, 0, 5, 5), np.float32)).shape == (2, 0)


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_hole_has_no_rank(hole):
    maps = np.ones((1, 2, 4, 4), np.float32)
    maps[0, 1, 2, 2] = hole
    with pytest.raises(StatisticsError, match="NaN or infinity"):
        numerical_ranks(maps)


@pytest.mark.parametrize(
    ("length", "shape"),
    [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (4, (2, 2)), (5, (2, 2)), (6, (2, 3)), (7, (3, 3)),
     (196, (14, 14)), (197, (14, 14)), (200, (14, 15)), (400, (20, 20))],
)  # fmt: skip
@pytest.mark.parametrize("turned", [False, True])
def test_a_sequence_is_laid_in_rows(length, shape, turned):
    maps = np.arange(1, 2 * length + 1, dtype=np.float32).reshape(1, 2, length, 1)
    view = matrix_view(maps.swapaxes(2, 3) if turned else maps)
    assert view.shape == (1, 2, *shape)
    laid = view.reshape(1, 2, -1)
    first = 1 if length in (5, 197) else 0
    np.testing.assert_array_equal(laid[:, :, : length - first], maps[:, :, first:, 0])
    assert not laid[:, :, length - first :].any()


def test_an_image_is_its_own_matrix():
    maps = np.zeros((2, 3, 4, 5), np.float32)
    assert matrix_view(maps) is maps


def test_tokens_of_an_image_have_the_rank_of_the_image():
    image = of_rank(3, 14, 14)
    tokens = np.concatenate(
        [np.ones((1, 1, 1, 1), np.float32), image.reshape(1, 1, 196, 1)], axis=2
    )
    assert numerical_ranks(matrix_view(tokens)).item() == 3
