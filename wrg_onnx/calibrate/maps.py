"""One pass over the images: the statistics of feature maps, summed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.calibrate.data import DataSet
from wrg_onnx.calibrate.progress import Progress, silent
from wrg_onnx.calibrate.ranks import numerical_ranks
from wrg_onnx.calibrate.statistics import Float64Array, LayerValues
from wrg_onnx.calibrate.taps import Tap, channels_first, chunks
from wrg_onnx.graph import Graph, Provider, StatisticsError, open_session

DEFAULT_BOUND_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How feature maps are looked at.

    Attributes:
        ranks: Whether to take ranks, which cost more than the run itself.
        provider: Where ONNX Runtime computes.
        bound_bytes: How many bytes of feature maps are held at a time. Where the taps of one sample
            exceed it, the sample runs once per part.
    """

    ranks: bool
    provider: Provider = Provider.CPU
    bound_bytes: int = DEFAULT_BOUND_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class MapStatistics:
    """What the feature maps said.

    Attributes:
        rank: Mean rank over min(H, W) by layer; empty if ranks were not asked for.
        activation: Mean absolute activation by layer.
        images: How many images were seen.
    """

    rank: tuple[LayerValues, ...]
    activation: tuple[LayerValues, ...]
    images: int


@dataclass(slots=True)
class _Sums:
    rank: Float64Array
    activation: Float64Array


def collect_maps(
    graph: Graph,
    taps: Sequence[Tap],
    data: DataSet,
    options: MapOptions,
    *,
    progress: Progress = silent,
) -> MapStatistics:
    """Run the model on each sample and look at the tapped feature maps.

    Args:
        graph: The model.
        taps: Where to look.
        data: The calibration images, read one at a time.
        options: What to take, and within which bound.
        progress: Told how many images are done.

    Returns:
        The means.

    Raises:
        StatisticsError: If a feature map is not finite; it names the tensor.
    """
    session = open_session(graph, outputs=[tap.tensor for tap in taps], provider=options.provider)
    parts = tuple(chunks(taps, options.bound_bytes))
    sums = {tap.tensor: _Sums(np.zeros(len(tap.units)), np.zeros(len(tap.units))) for tap in taps}
    for done, sample in enumerate(data, start=1):
        for part in parts:
            arrays = session.run(sample.feeds, [tap.tensor for tap in part])
            for tap in part:
                _add(sums[tap.tensor], tap, arrays.pop(tap.tensor), with_ranks=options.ranks)
        progress("feature maps", done, len(data))
    images = len(data)
    rank = [LayerValues(t.tensor, t.units, sums[t.tensor].rank / max(images, 1)) for t in taps]
    activation = [
        LayerValues(t.tensor, t.units, sums[t.tensor].activation / max(images, 1)) for t in taps
    ]
    return MapStatistics(tuple(rank) if options.ranks else (), tuple(activation), images)


def _add(sums: _Sums, tap: Tap, array: np.ndarray, *, with_ranks: bool) -> None:
    maps = channels_first(tap, array)
    if maps.dtype.kind in "iu":
        maps = maps.astype(np.float32) - tap.zero_point
    mean = np.abs(maps).mean(axis=(0, 2, 3), dtype=np.float64)
    if not np.isfinite(mean).all():
        raise StatisticsError(
            f"feature map '{tap.tensor}' holds NaN or infinity; check the images and --mean, --std"
        )
    sums.activation += mean
    if with_ranks:
        ranks = numerical_ranks(np.ascontiguousarray(maps, np.float32))
        sums.rank += ranks.mean(axis=0) / min(maps.shape[2:])
