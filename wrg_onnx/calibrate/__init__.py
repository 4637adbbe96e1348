"""The factors W, R and G and others: measured of a model's weights and on its feature maps."""

from wrg_onnx.calibrate.cache import Cache, CacheReport, cache_folder, cache_limit
from wrg_onnx.calibrate.collect import CertaintyFunction, Collected, collect
from wrg_onnx.calibrate.factor import GRADIENT, Factor, Source
from wrg_onnx.calibrate.measurements import Measurements
from wrg_onnx.calibrate.options import CollectOptions
from wrg_onnx.calibrate.rank.activation import ACTIVATION
from wrg_onnx.calibrate.rank.ranks import RANK
from wrg_onnx.calibrate.registry import all_factors, map_factor, measure_weights, weights_factor
from wrg_onnx.calibrate.statistics import (
    BoolArray,
    Float64Array,
    IntArray,
    LayerValues,
    Statistics,
)
from wrg_onnx.calibrate.taps import Tap, channels_first, plan_taps
from wrg_onnx.calibrate.weight.batch_scales import BATCH_SCALE
from wrg_onnx.calibrate.weight.distances import DISTANCE
from wrg_onnx.calibrate.weight.filters import of_filters
from wrg_onnx.calibrate.weight.norms import L1, L2, WEIGHT

__all__ = [
    "ACTIVATION", "BATCH_SCALE", "DISTANCE", "GRADIENT", "L1", "L2", "RANK", "WEIGHT", "BoolArray",
    "Cache", "CacheReport", "CertaintyFunction", "CollectOptions", "Collected", "Factor",
    "Float64Array", "IntArray", "LayerValues", "Measurements", "Source", "Statistics", "Tap",
    "all_factors", "cache_folder", "cache_limit", "channels_first", "collect", "map_factor",
    "measure_weights", "of_filters", "plan_taps", "weights_factor",
]  # fmt: skip
