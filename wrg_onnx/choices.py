"""What options choose among. Below all folders, so that ``--help`` and the API need no onnx."""

from __future__ import annotations

import enum


class BudgetKind(enum.Enum):
    """The quantity that a ratio or a limit speaks of.

    Attributes:
        PARAMS: Parameters: elements of float and 8-bit constants.
        MACS: Multiply-accumulate operations at batch 1.
        BYTES: The size of the file.
        LATENCY: What a run takes in ONNX Runtime on this machine.
    """

    PARAMS = "params"
    MACS = "macs"
    BYTES = "bytes"
    LATENCY = "latency"


class Scope(enum.Enum):
    """What competes with what."""

    GLOBAL = "global"
    UNIFORM = "uniform"


class Recovery(enum.Enum):
    """How surviving weights make up for the removed ones."""

    NONE = "none"
    BIAS = "bias"
    RIDGE = "ridge"
    FINETUNE = "finetune"


class Precision(enum.Enum):
    """In which numbers a pruned model is written, where not in float32."""

    HALF = "float16"
    INT8 = "int8"


class Provider(enum.Enum):
    """Where ONNX Runtime computes; ``AUTO`` is CUDA where it has that."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Device(enum.Enum):
    """Where torch trains; ``AUTO`` is CUDA where torch has it."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class BatchNormUse(enum.Enum):
    """What becomes of batch normalisation.

    Attributes:
        FROZEN: The running statistics normalise, and stay.
        TRAIN: The batch's statistics normalise while training, and the running ones follow.
    """

    FROZEN = "frozen"
    TRAIN = "train"


class Exporter(enum.Enum):
    """Which of torch's two exporters writes the file."""

    DYNAMO = "dynamo"
    TORCHSCRIPT = "torchscript"


class BackgroundKind(enum.Enum):
    """What made images of tiny objects show behind these."""

    CLUTTER = "clutter"
    GROUND = "ground"
    INDUSTRIAL = "industrial"
    INFRARED = "infrared"
    SEA = "sea"
    SKY = "sky"
    TEXTURE = "texture"
