"""An ONNX graph as a differentiable torch module; with `calibrate.gradients` the only torch."""

from wrg_onnx.twin.module import BatchNorm, Twin, build_twin
from wrg_onnx.twin.quantised import dequantised
from wrg_onnx.twin.table import lookup, registered, twin_op
from wrg_onnx.twin.widening import widened

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
