"""Change surviving weights to win back accuracy: bias compensation, ridge, fine-tuning."""

from wrg_onnx.recover.kept import KeptChannels, compose, kept_channels
from wrg_onnx.recover.options import (
    BatchNormUse,
    CheckpointFile,
    Device,
    EpochResult,
    Finetuned,
    FinetuneOptions,
    TrainingData,
)

__all__ = [
    "BatchNormUse", "CheckpointFile", "Device", "EpochResult", "FinetuneOptions", "Finetuned",
    "KeptChannels", "TrainingData", "compose", "kept_channels",
]  # fmt: skip
