"""The statistics of feature maps on a GPU: ONNX Runtime's outputs never leave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from wrg_onnx.calibrate.measurements import Kind, Row, map_kinds
from wrg_onnx.calibrate.rank.device_ranks import device_ranks
from wrg_onnx.calibrate.rank.maps import MapSource, hole
from wrg_onnx.calibrate.rank.ranks import matrix_sides
from wrg_onnx.calibrate.statistics import Float64Array
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.data.dataset import Sample

BOUND_BYTES = 2 * 2**30
"""How many bytes of feature maps are held at a time."""


class DeviceMapProbe:
    """Looks at the tapped feature maps of several images at a time, on the GPU.

    ONNX Runtime leaves its outputs there and lends them to torch. The model runs once per image;
    the ranks of all images' maps are taken together.

    Args:
        source: Where the maps come from.
        ranks: Whether to take ranks.
    """

    def __init__(self, source: MapSource, *, ranks: bool) -> None:
        self._source = source
        self.kinds = map_kinds(ranks=ranks)

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Return the ranks, each over the most it could be, and the mean absolute activations.

        Raises:
            StatisticsError: If a feature map is not finite; it names the tensor.
        """
        if not samples:
            return []
        found: dict[Kind, list[Float64Array]] = {kind: [] for kind in self.kinds}
        for part in self._source.parts:
            lent = [self._source.lend(sample, part) for sample in samples]
            for tap in part:
                maps = [_channels_first(tap, from_dlpack(one.pop(tap.tensor))) for one in lent]
                for kind, values in self._look(tap, maps, samples).items():
                    found[kind].append(values)
        whole = {kind: np.concatenate(values, axis=1) for kind, values in found.items()}
        return [{kind: rows[n] for kind, rows in whole.items()} for n in range(len(samples))]

    def _look(
        self, tap: Tap, maps: Sequence[Tensor], samples: Sequence[Sample]
    ) -> dict[Kind, Float64Array]:
        """Return for each kind (images, C)."""
        means = torch.stack([one.abs().mean(dim=(0, 2, 3), dtype=torch.float64) for one in maps])
        mean = np.asarray(means.cpu().numpy(), np.float64)
        for sample, row in zip(samples, mean, strict=True):
            if not np.isfinite(row).all():
                raise hole(tap, sample)
        found = {Kind.ACTIVATION: mean}
        if Kind.RANK in self.kinds:
            share = torch.stack(_shares([_matrices(one) for one in maps]))
            found[Kind.RANK] = np.asarray(share.cpu().numpy(), np.float64)
        return found


def _shares(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean rank of each channel over the most it could be, (C,) of each image."""
    if len({one.shape[2:] for one in matrices}) > 1:
        return [share for one in matrices for share in _shares([one])]
    ranks = torch.split(device_ranks(torch.cat(list(matrices))), [len(one) for one in matrices])
    return [one.mean(dim=0) / min(matrices[0].shape[2:]) for one in ranks]


def _channels_first(tap: Tap, value: Tensor) -> Tensor:
    """View a tapped tensor as ``taps.channels_first`` does an array."""
    moved = value[None] if tap.axis == 0 else value.movedim(tap.axis, 1)
    samples, channels, *rest = moved.shape
    maps = moved.reshape(samples, channels, -1, rest[-1] if len(rest) > 1 else 1)
    return maps.float() if maps.is_floating_point() else maps.float() - tap.zero_point


def _matrices(maps: Tensor) -> Tensor:
    """View maps as ``ranks.matrix_view`` does."""
    sides = matrix_sides(tuple(maps.shape[2:]))
    if sides is None:
        return maps
    flat = maps.flatten(2)[:, :, sides.skipped :]
    padded = torch.nn.functional.pad(flat, (0, sides.rows * sides.columns - flat.shape[2]))
    return padded.reshape(*maps.shape[:2], sides.rows, sides.columns)
