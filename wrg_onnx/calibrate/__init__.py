"""Measures factors: of a model's weights, on its feature maps, and in a backward pass."""

from wrg_onnx.calibrate.cache import Cache, CacheReport, cache_folder, cache_limit
from wrg_onnx.calibrate.collect import CertaintyFunction, Collected, collect
from wrg_onnx.calibrate.measurements import Measurements
from wrg_onnx.calibrate.options import CollectOptions
from wrg_onnx.calibrate.registry import all_factors, map_factor, measure_weights, weights_factor
from wrg_onnx.calibrate.taps import Tap, channels_first, plan_taps
from wrg_onnx.calibrate.weight.filters import constant_numbers, of_filters

__all__ = [
    "Cache", "CacheReport", "CertaintyFunction", "CollectOptions", "Collected", "Measurements",
    "Tap", "all_factors", "cache_folder", "cache_limit", "channels_first", "collect",
    "constant_numbers", "map_factor", "measure_weights", "of_filters", "plan_taps",
    "weights_factor",
]  # fmt: skip
