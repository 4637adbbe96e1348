"""Models timed in processes of their own, several times anew."""

from wrg_onnx.latency.fresh.children import Task, write_feeds
from wrg_onnx.latency.fresh.measure import PROCESSES, Measured, Start, started, time_fresh
from wrg_onnx.latency.fresh.places import Place, find_places
from wrg_onnx.latency.fresh.threads import check_threads

__all__ = [
    "PROCESSES",
    "Measured",
    "Place",
    "Start",
    "Task",
    "check_threads",
    "find_places",
    "started",
    "time_fresh",
    "write_feeds",
]
