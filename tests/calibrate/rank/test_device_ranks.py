"""Ranks by elimination without exchanges, as on a GPU, against those of the CPU and of SVD."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from wrg_onnx.calibrate.rank import device_ranks as module  # noqa: E402
from wrg_onnx.calibrate.rank.device_ranks import device_ranks  # noqa: E402
from wrg_onnx.calibrate.rank.ranks import numerical_ranks  # noqa: E402

RNG = np.random.default_rng(0)


def eliminate(matrices):
    """What `lu_factor_ex(pivot=False)` does on a GPU, step by step."""
    left = matrices.numpy().copy()
    for k in range(left.shape[1]):
        with np.errstate(divide="ignore", invalid="ignore"):
            column = left[:, k + 1 :, k] / left[:, k, k, None]
        left[:, k + 1 :, k + 1 :] -= column[:, :, None] * left[:, k, None, k + 1 :]
    return torch.from_numpy(np.ascontiguousarray(np.diagonal(left, axis1=1, axis2=2)))


@pytest.fixture(autouse=True)
def _no_gpu_needed(monkeypatch):
    monkeypatch.setattr(module, "_pivots", eliminate)


def of_rank(rank, height, width, noise=0.0):
    found = RNG.standard_normal((height, rank)) @ RNG.standard_normal((rank, width))
    return found + noise * RNG.standard_normal((height, width))


def feature_maps(height, width):
    """Maps as networks make them: rectified, flat, dead, with dead rows, spanning many scales."""
    smooth = np.cumsum(np.cumsum(RNG.standard_normal((20, height, width)), 1), 2)
    dead_rows = np.maximum(RNG.standard_normal((4, height, width)), 0)
    dead_rows[:, : height // 3] = 0
    one_pixel = np.zeros((1, height, width))
    one_pixel[0, height // 2, width // 3] = 3
    return np.concatenate([
        smooth, np.maximum(smooth, 0), dead_rows, one_pixel,
        np.zeros((1, height, width)), np.ones((1, height, width)),
        [of_rank(k, height, width) for k in (1, 3, 17)],
        [of_rank(5, height, width, noise) for noise in (1e-3, 1e-6, 1e-8)],
    ]).astype(np.float32)[None]  # fmt: skip


@pytest.mark.parametrize(
    "sides", [(8, 8), (33, 33), (56, 40), (40, 56), (112, 112), (1, 7), (7, 1)]
)
def test_elimination_counts_what_the_inertia_does(sides):
    maps = feature_maps(*sides)
    ranks = device_ranks(torch.from_numpy(maps)).numpy()
    np.testing.assert_array_equal(ranks, numerical_ranks(maps))
    assert ranks.min() == 0
    assert ranks.max() > 0


def test_maps_of_a_known_rank_have_it():
    maps = np.stack([of_rank(k, 48, 64) for k in (1, 7, 30, 48)]).astype(np.float32)[None]
    # Rounding to float32 makes the rest of the singular values noise around the tolerance.
    svd = np.linalg.matrix_rank(maps[0].astype(np.float64), tol=None, hermitian=False)
    assert svd.tolist() == [48, 48, 48, 48]
    ranks = device_ranks(torch.from_numpy(maps)).numpy()[0]
    assert ranks.tolist() == [np.linalg.matrix_rank(one) for one in maps[0]]


def test_a_pivot_that_could_have_either_sign_is_not_relied_on(monkeypatch):
    maps = np.maximum(RNG.standard_normal((1, 3, 40, 40)), 0).astype(np.float32)
    expected = numerical_ranks(maps)

    def doubtful(matrices):
        found = eliminate(matrices)
        found[0, 0] = -1e-30
        found[1, 0] = float("nan")
        return found

    monkeypatch.setattr(module, "_pivots", doubtful)
    np.testing.assert_array_equal(device_ranks(torch.from_numpy(maps)).numpy(), expected)


def test_parts_change_nothing(monkeypatch):
    maps = torch.from_numpy(feature_maps(40, 40))
    whole = device_ranks(maps)
    monkeypatch.setattr(module, "PART_BYTES", 1)
    assert torch.equal(device_ranks(maps), whole)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
@pytest.mark.parametrize("sides", [(8, 8), (56, 40), (112, 112)])
def test_a_gpu_counts_what_the_cpu_does(sides, monkeypatch):
    monkeypatch.undo()
    maps = feature_maps(*sides)
    ranks = device_ranks(torch.from_numpy(maps).cuda()).cpu().numpy()
    np.testing.assert_array_equal(ranks, numerical_ranks(maps))
