"""The mean absolute activation of a feature map, a baseline beside its rank."""

from __future__ import annotations

import numpy as np

from wrg_onnx.calibrate.registry import measures_maps
from wrg_onnx.factors import ACTIVATION, Float64Array
from wrg_onnx.graph import Array


@measures_maps(ACTIVATION)
def mean_activation(maps: Array) -> Float64Array:
    """Average the absolute values of each channel.

    Args:
        maps: (N, C, H, W) floats.

    Returns:
        (C,) float64, over all N maps of a channel at once; not finite where a map is not.

    Source: Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient
    Inference", ICLR 2017, arXiv:1611.06440, section 2.2, names the mean activation as a criterion;
    that of absolute values serves activations of both signs.
    """
    return np.asarray(np.abs(maps).mean(axis=(0, 2, 3), dtype=np.float64))
