"""What is measured of channels: its names, and the record of the numbers. Pure numpy."""

from wrg_onnx.factors.built_in import (
    ACTIVATION,
    BATCH_SCALE,
    DISTANCE,
    GRADIENT,
    L1,
    L2,
    RANK,
    WEIGHT,
)
from wrg_onnx.factors.consumers import Consumer
from wrg_onnx.factors.factor import LARGEST, Factor, Source, from_source
from wrg_onnx.factors.statistics import (
    BoolArray,
    Float64Array,
    IntArray,
    LayerValues,
    Statistics,
)

__all__ = [
    "ACTIVATION", "BATCH_SCALE", "DISTANCE", "GRADIENT", "L1", "L2", "LARGEST", "RANK", "WEIGHT",
    "BoolArray", "Consumer", "Factor", "Float64Array", "IntArray", "LayerValues", "Source",
    "Statistics", "from_source",
]  # fmt: skip
