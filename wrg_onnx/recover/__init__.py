"""Least squares: change surviving weights so that each layer makes again what it made."""

from wrg_onnx.recover.bias import Removal, compensate
from wrg_onnx.recover.consumers import ConsumerOptions, measure_consumers
from wrg_onnx.recover.outcome import LayerFit
from wrg_onnx.recover.reconstruct import (
    FEWEST_SAMPLES,
    Reconstruction,
    ReconstructOptions,
    reconstruct,
)

__all__ = [
    "FEWEST_SAMPLES",
    "ConsumerOptions",
    "LayerFit",
    "ReconstructOptions",
    "Reconstruction",
    "Removal",
    "compensate",
    "measure_consumers",
    "reconstruct",
]
