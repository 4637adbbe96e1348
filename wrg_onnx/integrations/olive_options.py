"""The options of ``wrg_onnx.prune`` as Olive takes them: JSON types, defaults, meanings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wrg_onnx

TYPES: Mapping[str, Any] = {
    "ratio": float,
    "max_drop": float,
    "metric": str,
    "budget": str,
    "max_params": float,
    "max_macs": float,
    "max_bytes": float,
    "max_latency_ms": float,
    "align": int | str,
    "criterion": str,
    "scope": str,
    "floor": float,
    "recover": str,
    "rounds": int,
    "epochs": int,
    "sparsify": int,
    "data": Path | str,
    "samples": int,
    "size": int | list[int],
    "scale": float,
    "mean": list[float],
    "std": list[float],
    "order": str,
    "layout": str,
    "shape": dict[str, list[int]],
    "value": dict[str, float],
    "at_objects": float,
    "certainty": float,
    "cache": bool | str,
    "amp": bool,
    "keep": str | list[str],
    "only": str | list[str],
    "head_dims": bool,
    "through_norms": bool,
    "half": bool,
    "int8": bool,
    "evaluate": bool,
    "strict": bool,
    "external_data": bool,
    "provider": str,
    "seed": int,
}
"""The options that the pass has, and their types in JSON."""

SEARCHED = frozenset(name for name, kind in TYPES.items() if kind in (float, int, str, bool))
"""The options that a search of Olive may choose, where it is given a list of values."""

OF_OLIVE = frozenset({"model", "output", "force", "details", "report", "progress", "workers"})
"""The parameters that Olive decides itself."""


def default_of(name: str) -> Any:
    """Return what ``wrg_onnx.prune`` takes, as JSON has it; None where there is no default."""
    default = inspect.signature(wrg_onnx.prune).parameters[name].default
    if default is inspect.Parameter.empty:
        return None
    return list(default) if isinstance(default, tuple) else default


def descriptions() -> dict[str, str]:
    """Read what each option means from the documentation of ``wrg_onnx.prune``."""
    text = inspect.getdoc(wrg_onnx.prune) or ""  # ``python -OO`` leaves it out
    arguments = re.search(r"^Args:\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    parts = re.split(r"^    (\w+): ", arguments[1] if arguments else "", flags=re.MULTILINE)[1:]
    return {
        name: " ".join(said.split()) for name, said in zip(parts[::2], parts[1::2], strict=True)
    }
