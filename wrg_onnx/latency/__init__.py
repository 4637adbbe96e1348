"""How long models take in ONNX Runtime: measured side by side, and by layer for any width."""

from wrg_onnx.latency.cost_table import CostTable
from wrg_onnx.latency.interval import Noise, Ratio, compare_medians, find_noise
from wrg_onnx.latency.kept_table import Found, find_or_measure_table
from wrg_onnx.latency.measure_table import TableOptions, measure_table
from wrg_onnx.latency.paired import paired_latency
from wrg_onnx.latency.steps import ChannelSteps, measure_steps
from wrg_onnx.latency.times import Latency, Times
from wrg_onnx.latency.timing import Speed, Timing, available_providers, time_models, time_pair

__all__ = [
    "ChannelSteps",
    "CostTable",
    "Found",
    "Latency",
    "Noise",
    "Ratio",
    "Speed",
    "TableOptions",
    "Times",
    "Timing",
    "available_providers",
    "compare_medians",
    "find_noise",
    "find_or_measure_table",
    "measure_steps",
    "measure_table",
    "paired_latency",
    "time_models",
    "time_pair",
]
