"""What a machine has of what the parts need: `python -m gpu.machine` prints one JSON object."""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
from typing import Any

NEEDED = {
    "onnx": "onnx", "onnx_graphsurgeon": "onnx-graphsurgeon", "onnxruntime": "onnxruntime-gpu",
    "torch": "torch", "onnxscript": "onnxscript", "scipy": "scipy", "PIL": "pillow",
    "rich": "rich", "threadpoolctl": "threadpoolctl", "platformdirs": "platformdirs",
    "py_sod_metrics": "pysodmetrics", "pytest": "pytest", "hypothesis": "hypothesis",
}  # fmt: skip
"""The modules that the parts import, and the packages that bring them."""


def describe() -> dict[str, Any]:
    """Return versions, the GPU if there is one, and who computes on it."""
    missing = [package for name, package in NEEDED.items() if not importlib.util.find_spec(name)]
    found: dict[str, Any] = {
        "python": platform.python_version(), "missing": missing, "gpu": None, "torch": None,
        "onnxruntime": None, "torch_on_gpu": False, "onnxruntime_on_gpu": False,
    }  # fmt: skip
    if "torch" not in missing:
        _ask_torch(found)
    if "onnxruntime-gpu" not in missing and not {"onnx", "onnx-graphsurgeon"} & {*missing}:
        _ask_onnxruntime(found)
    return found


def _ask_torch(found: dict[str, Any]) -> None:
    import torch

    found["torch"] = torch.__version__
    if torch.cuda.is_available():
        found["torch_on_gpu"] = True
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda


def _ask_onnxruntime(found: dict[str, Any]) -> None:
    from wrg_onnx import Provider
    from wrg_onnx.graph import resolve_provider, runtime

    found["onnxruntime"] = runtime().__version__
    found["onnxruntime_on_gpu"] = resolve_provider(Provider.AUTO) is Provider.CUDA


if __name__ == "__main__":
    json.dump(describe(), sys.stdout)
