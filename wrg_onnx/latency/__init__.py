"""How long models take in ONNX Runtime, measured side by side."""

from wrg_onnx.latency.compare import Latency, compare_latency
from wrg_onnx.latency.timing import Speed, Timing, available_providers, time_models

__all__ = [
    "Latency",
    "Speed",
    "Timing",
    "available_providers",
    "compare_latency",
    "time_models",
]
