"""Train and distil an ONNX file through its torch twin."""

from wrg_onnx.finetune.checkpoint import check_checkpoint
from wrg_onnx.finetune.options import (
    BatchNormUse,
    CheckpointFile,
    Device,
    EpochResult,
    Finetuned,
    FinetuneOptions,
    TrainingData,
    check_teacher,
)

__all__ = [
    "BatchNormUse",
    "CheckpointFile",
    "Device",
    "EpochResult",
    "FinetuneOptions",
    "Finetuned",
    "TrainingData",
    "check_checkpoint",
    "check_teacher",
]
