"""Spectra of feature maps, as details have them."""

from __future__ import annotations

import numpy as np

from wrg_onnx.calibrate.rank.spectra import MapSpectrum
from wrg_onnx.factors import LayerValues
from wrg_onnx.report.details import SPECTRUM_POINTS, Spectrum
from wrg_onnx.report.small import rounded, short_text


def small_spectrum(found: MapSpectrum, ranks: LayerValues, images: int) -> Spectrum:
    """Return a spectrum with few numbers.

    Args:
        found: The whole one.
        ranks: R of the layer's channels.
        images: Of how many images it is.
    """
    size = len(found.values)
    points = np.linspace(0, size - 1, min(size, SPECTRUM_POINTS)).round().astype(int)
    return Spectrum(
        layer=short_text(found.layer),
        values=tuple(rounded(value) for value in found.values[points]),
        size=size,
        rank=rounded(float(ranks.values.mean())),
        maps=found.maps,
        images=images,
    )
