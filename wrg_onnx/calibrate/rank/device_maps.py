"""The statistics of feature maps on a GPU: ONNX Runtime's outputs never leave it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from wrg_onnx.calibrate.measurements import Row
from wrg_onnx.calibrate.rank.device_ranks import device_ranks
from wrg_onnx.calibrate.rank.maps import MapSource, measured_with, not_finite
from wrg_onnx.calibrate.rank.ranks import sequence_matrix
from wrg_onnx.calibrate.registry import measure_maps
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.data.dataset import Sample
from wrg_onnx.factors import ACTIVATION, RANK, Factor, Float64Array

BOUND_BYTES = 2 * 2**30
"""How many bytes of feature maps are held at a time."""


class DeviceMapProbe:
    """Looks at the tapped feature maps of several images at a time, on the GPU.

    ONNX Runtime leaves its outputs there and lends them to torch. The model runs once per image;
    the ranks of all images' maps are taken together. A factor that has no form for the device, as
    one that a user registered, gets the maps as arrays, on the CPU.

    Args:
        source: Where the maps come from.
        wanted: Factors of maps that are wanted.

    Attributes:
        factors: What is measured: ``measured_with`` them.
    """

    def __init__(self, source: MapSource, wanted: Iterable[Factor]) -> None:
        self._source = source
        self.factors = measured_with(wanted)

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Return what the factors' functions give for the maps of each image.

        Raises:
            StatisticsError: If a feature map is not finite; it names the tensor.
        """
        if not samples:
            return []
        found: dict[Factor, list[Float64Array]] = {factor: [] for factor in self.factors}
        for part in self._source.parts:
            lent = [self._source.lend(sample, part) for sample in samples]
            for tap in part:
                maps = [_channels_first(tap, from_dlpack(one.pop(tap.tensor))) for one in lent]
                for factor in self.factors:
                    values = _values(factor, maps, tap)
                    _check_finite(values, tap, samples)
                    found[factor].append(values)
        # For each factor, per tap (images, C) -> (images, channels of all taps).
        whole = {factor: np.concatenate(values, axis=1) for factor, values in found.items()}
        return [{factor: rows[n] for factor, rows in whole.items()} for n in range(len(samples))]


def _values(factor: Factor, maps: Sequence[Tensor], tap: Tap) -> Float64Array:
    """Measure a factor on the maps of each image, (images, C)."""
    on_device = _ON_DEVICE.get(factor)
    if on_device is None:
        return np.stack([measure_maps(factor, one.cpu().numpy(), tap.tensor) for one in maps])
    return np.asarray(torch.stack(on_device(maps)).cpu().numpy(), np.float64)


def _check_finite(values: Float64Array, tap: Tap, samples: Sequence[Sample]) -> None:
    for sample, row in zip(samples, values, strict=True):
        if not np.isfinite(row).all():
            raise not_finite(tap, sample)


def _means(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean absolute activation of each channel, (C,) of each image."""
    return [one.abs().mean(dim=(0, 2, 3), dtype=torch.float64) for one in maps]


def _shares(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean rank of each channel over the most it could be, (C,) of each image."""
    matrices = [_matrices(one) for one in maps]
    if len({one.shape[2:] for one in matrices}) > 1:
        return [share for one in maps for share in _shares([one])]
    # The maps of all images, (N, C, rows, columns) each, are one batch of matrices along N.
    ranks = torch.split(device_ranks(torch.cat(matrices)), [len(one) for one in matrices])
    return [one.mean(dim=0) / min(matrices[0].shape[2:]) for one in ranks]


_ON_DEVICE = {ACTIVATION: _means, RANK: _shares}
"""The forms of factors for maps that lie on the device: a list of (N, C, H, W) to one of (C,)."""


def _channels_first(tap: Tap, value: Tensor) -> Tensor:
    """View a tapped tensor as ``taps.channels_first`` does an array."""
    moved = value[None] if tap.axis == 0 else value.movedim(tap.axis, 1)
    samples, channels, *rest = moved.shape
    maps = moved.reshape(samples, channels, -1, rest[-1] if len(rest) > 1 else 1)
    return maps.float() if maps.is_floating_point() else maps.float() - tap.zero_point


def _matrices(maps: Tensor) -> Tensor:
    """View maps as ``ranks.matrix_view`` does."""
    matrix = sequence_matrix(tuple(maps.shape[2:]))
    if matrix is None:
        return maps
    flat = maps.flatten(2)[:, :, matrix.skipped :]
    padded = torch.nn.functional.pad(flat, (0, matrix.rows * matrix.columns - flat.shape[2]))
    return padded.reshape(*maps.shape[:2], matrix.rows, matrix.columns)
