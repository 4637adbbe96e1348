"""Operators by family; importing this package registers them all."""

from wrg_onnx.twin.ops import (
    activation,
    control,
    convolution,
    generate,
    indexing,
    linear,
    normalisation,
    padding,
    pointwise,
    pooling,
    recurrent,
    reduction,
    resize,
    sampling,
    shape,
)

__all__ = [
    "activation",
    "control",
    "convolution",
    "generate",
    "indexing",
    "linear",
    "normalisation",
    "padding",
    "pointwise",
    "pooling",
    "recurrent",
    "reduction",
    "resize",
    "sampling",
    "shape",
]
