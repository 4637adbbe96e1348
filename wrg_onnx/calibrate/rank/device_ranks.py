"""R on a GPU: the ranks of ``ranks.py``, where the feature maps already are."""

from __future__ import annotations

import torch
from torch import Tensor

from wrg_onnx.calibrate.rank.inertia import ROUNDS, SETTLED, STEPS, WIDTH

PART_BYTES = 512 * 2**20
"""How much of the maps, in float64, is looked at at a time; at least one map."""

SMALL = 32
"""Up to this side cuSOLVER finds the eigenvalues of many matrices at once."""

_UNCERTAIN = 0.03
"""A pivot below this share of the threshold may have the wrong sign."""


def device_ranks(maps: Tensor) -> Tensor:
    """Count the singular values of each map that float32 can tell from zero.

    They are counted as in ``ranks.numerical_ranks``, but by the signs of the pivots of an
    elimination without exchanges, since that is what a GPU does to many matrices at once. It is
    safe here: a positive semidefinite matrix less a threshold grows only where a pivot is far below
    the threshold. Where there is such a pivot the eigenvalues are counted.

    Args:
        maps: (N, C, H, W) float32, finite, on the device.

    Returns:
        (N, C) float64 on the device, ranks in [0, min(H, W)].

    Source: Sylvester's law of inertia; for the tolerance Lin et al., "HRank", CVPR 2020,
    arXiv:2002.10179.
    """
    height, width = maps.shape[2:]
    if min(height, width) == 1:
        return (maps.abs().amax(dim=(2, 3)) > 0).double()
    wide = (maps if height <= width else maps.mT).reshape(
        -1, min(height, width), max(height, width)
    )
    step = max(1, PART_BYTES // (8 * height * width))
    counted = [_count(part) for part in torch.split(wide, step)]
    return torch.cat(counted).reshape(maps.shape[:2]).double()


def _count(wide: Tensor) -> Tensor:
    exact = wide.double()
    gram = exact @ exact.mT
    tolerance = (wide.shape[2] * torch.finfo(torch.float32).eps) ** 2
    if gram.shape[1] <= SMALL:
        return _above(torch.linalg.eigvalsh(gram), tolerance)
    largest, settled = _largest_eigenvalues(gram)
    threshold = largest * tolerance
    shifted = gram - threshold[:, None, None] * torch.eye(
        gram.shape[1], dtype=gram.dtype, device=gram.device
    )
    pivots = _pivots(shifted)
    sure = settled & pivots.isfinite().all(1)
    sure &= (pivots.abs() > _UNCERTAIN * threshold[:, None]).all(1)
    ranks = (pivots > 0).sum(1)
    ranks[~sure] = _above(torch.linalg.eigvalsh(gram[~sure]), tolerance)
    return ranks


def _above(eigenvalues: Tensor, tolerance: float) -> Tensor:
    threshold = eigenvalues[:, -1:].clamp(min=0) * tolerance
    return ((eigenvalues > threshold) & (eigenvalues > 0)).sum(1)


def _pivots(matrices: Tensor) -> Tensor:
    """Eliminate without exchanging rows, which torch does on a GPU alone."""
    factors: Tensor = torch.linalg.lu_factor_ex(matrices, pivot=False).LU
    return factors.diagonal(dim1=1, dim2=2)


def _largest_eigenvalues(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Find the largest eigenvalues by subspace iteration, and tell which are right to 1e-7."""
    size = matrices.shape[1]
    draw = torch.Generator().manual_seed(size)
    start = torch.randn(1, size, WIDTH, generator=draw, dtype=matrices.dtype)
    start[:, :, 0] = 1
    basis = start.to(matrices.device).expand(len(matrices), -1, -1)
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            image = matrices @ basis
            basis = image / torch.linalg.vector_norm(image, dim=1, keepdim=True).clamp(min=1e-300)
        basis = torch.linalg.qr(basis).Q
        image = matrices @ basis
        values, turns = torch.linalg.eigh(basis.mT @ image)
        best = turns[:, :, -1:]
        residual = torch.linalg.vector_norm(
            image @ best - values[:, None, -1:] * (basis @ best), dim=1
        )
        gap = values[:, -1] - values[:, -2]
        settled = residual[:, 0] ** 2 <= SETTLED * values[:, -1] * gap
        if settled.all():
            break
        basis = image
    return values[:, -1], settled
