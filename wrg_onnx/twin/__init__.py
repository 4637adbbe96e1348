"""An ONNX graph as a differentiable torch module."""

from wrg_onnx.twin.floats.dequantise import dequantised
from wrg_onnx.twin.floats.widen import widened
from wrg_onnx.twin.module import BatchNorm, Twin, build_twin
from wrg_onnx.twin.table import lookup, registered, twin_op

__all__ = [
    "BatchNorm",
    "Twin",
    "build_twin",
    "dequantised",
    "lookup",
    "registered",
    "twin_op",
    "widened",
]
