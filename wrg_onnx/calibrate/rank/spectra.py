"""The singular values of feature maps: what their ranks are counted from, to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from wrg_onnx.calibrate.rank.maps import MapSource, tapped_maps
from wrg_onnx.calibrate.rank.ranks import matrix_view
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.data.dataset import Sample
from wrg_onnx.factors import Float64Array
from wrg_onnx.graph import Array, one_blas_thread, usable_cores

MAPS_OF_AN_IMAGE = 4
"""How many maps of a layer are looked at: their singular values take far longer than ranks."""


@dataclass(frozen=True, slots=True, eq=False)
class MapSpectrum:
    """The singular values of a layer's feature maps.

    Attributes:
        layer: The tensor.
        values: (min(H, W),) float64, the mean over maps of the singular values of a map over the
            largest one of it: falling from 1, in [0, 1].
        maps: Over how many maps; such as are zero everywhere have no spectrum.
    """

    layer: str
    values: Float64Array
    maps: int


def map_spectra(source: MapSource, samples: Sequence[Sample]) -> Iterator[MapSpectrum]:
    """Yield the mean spectrum of each tap that makes a map that is not zero.

    Args:
        source: Where the maps come from.
        samples: What the model is fed; of each ``MAPS_OF_AN_IMAGE`` maps count, of channels at even
            distances.

    Raises:
        DataError: If ONNX Runtime refuses a sample.
    """
    for part in source.parts:
        found: dict[Tap, list[Float64Array]] = {tap: [] for tap in part}
        for arrays in source.run(samples, part):
            for tap in part:
                found[tap].append(spectra_of(tapped_maps(tap, arrays.pop(tap.tensor))))
        for tap, spectra in found.items():
            # Samples of other sizes have spectra of other lengths: those of the first count.
            alike = [one for one in spectra if one.shape[1] == spectra[0].shape[1]]
            whole = np.concatenate(alike) if alike else np.empty((0, 0))
            if len(whole):
                yield MapSpectrum(tap.tensor, whole.mean(axis=0), len(whole))


def spectra_of(maps: Array) -> Float64Array:
    """Return the singular values of some maps, each over its largest one.

    Args:
        maps: (N, C, H, W) floats, as ``taps.channels_first`` gives them; seen as matrices as ranks
            see them.

    Returns:
        (maps, min(H, W)) float64, falling from 1; without maps that are zero, or not finite.
    """
    matrices = matrix_view(maps)
    flat = matrices.reshape(-1, *matrices.shape[2:])
    count = min(MAPS_OF_AN_IMAGE, len(flat))
    chosen = flat[np.arange(count) * len(flat) // max(count, 1)].astype(np.float64)
    usable = np.isfinite(chosen).all(axis=(1, 2)) & (chosen != 0).any(axis=(1, 2))
    with one_blas_thread(), ThreadPoolExecutor(usable_cores()) as pool:
        values = [*pool.map(partial(np.linalg.svd, compute_uv=False), chosen[usable])]
    if not values:
        return np.empty((0, min(chosen.shape[1:])))
    return np.stack([one / one[0] for one in values])
