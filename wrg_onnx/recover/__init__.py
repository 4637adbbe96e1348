"""Change surviving weights to win back accuracy: bias compensation, ridge, fine-tuning."""

from wrg_onnx.recover.fit import LayerFit
from wrg_onnx.recover.kept import KeptChannels, compose, kept_channels
from wrg_onnx.recover.reconstruct import Method, Reconstruction, ReconstructOptions, reconstruct

__all__ = [
    "KeptChannels",
    "LayerFit",
    "Method",
    "ReconstructOptions",
    "Reconstruction",
    "compose",
    "kept_channels",
    "reconstruct",
]
