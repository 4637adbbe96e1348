"""Change surviving weights to win back accuracy: bias compensation, ridge, fine-tuning."""

from wrg_onnx.recover.bias import Removal, compensate
from wrg_onnx.recover.fit import LayerFit
from wrg_onnx.recover.kept import KeptChannels, compose, kept_channels, read_note, with_note
from wrg_onnx.recover.reconstruct import (
    FEWEST_SAMPLES,
    Reconstruction,
    ReconstructOptions,
    reconstruct,
)
from wrg_onnx.recover.training.checkpoint import check_checkpoint
from wrg_onnx.recover.training.options import (
    BatchNormUse,
    CheckpointFile,
    Device,
    EpochResult,
    Finetuned,
    FinetuneOptions,
    TrainingData,
)
from wrg_onnx.recover.training.teacher import check_teacher

__all__ = [
    "FEWEST_SAMPLES",
    "BatchNormUse",
    "CheckpointFile",
    "Device",
    "EpochResult",
    "FinetuneOptions",
    "Finetuned",
    "KeptChannels",
    "LayerFit",
    "ReconstructOptions",
    "Reconstruction",
    "Removal",
    "TrainingData",
    "check_checkpoint",
    "check_teacher",
    "compensate",
    "compose",
    "kept_channels",
    "read_note",
    "reconstruct",
    "with_note",
]
