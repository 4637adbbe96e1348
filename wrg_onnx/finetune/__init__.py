"""Train and distil an ONNX file through its torch twin."""

from wrg_onnx.choices import BatchNormUse, Device
from wrg_onnx.finetune.checkpoint import check_checkpoint, checkpoint_bytes
from wrg_onnx.finetune.options import (
    Between,
    CheckpointFile,
    EpochResult,
    Finetuned,
    FinetuneOptions,
    TrainingData,
    check_teacher,
)

__all__ = [
    "BatchNormUse",
    "Between",
    "CheckpointFile",
    "Device",
    "EpochResult",
    "FinetuneOptions",
    "Finetuned",
    "TrainingData",
    "check_checkpoint",
    "check_teacher",
    "checkpoint_bytes",
]
