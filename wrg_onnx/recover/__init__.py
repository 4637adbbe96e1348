"""Least squares: change surviving weights so that each layer makes again what it made."""

from wrg_onnx.recover.added_biases import AddedBiases
from wrg_onnx.recover.bias import compensate
from wrg_onnx.recover.consumers import consumers_of
from wrg_onnx.recover.kept_layers import Kept, find_or_measure
from wrg_onnx.recover.measure import MeasureOptions, measure_layers
from wrg_onnx.recover.measured import Measured
from wrg_onnx.recover.outcome import LayerFit
from wrg_onnx.recover.places import RowOptions
from wrg_onnx.recover.reconstruct import (
    FEWEST_SAMPLES,
    Reconstruction,
    ReconstructOptions,
    check_samples,
    reconstruct,
)
from wrg_onnx.recover.removal import Removal

__all__ = [
    "FEWEST_SAMPLES",
    "AddedBiases",
    "Kept",
    "LayerFit",
    "MeasureOptions",
    "Measured",
    "ReconstructOptions",
    "Reconstruction",
    "Removal",
    "RowOptions",
    "check_samples",
    "compensate",
    "consumers_of",
    "find_or_measure",
    "measure_layers",
    "reconstruct",
]
