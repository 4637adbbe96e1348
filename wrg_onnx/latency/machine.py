"""What a machine is known by, where times are kept that were measured on it."""

from __future__ import annotations

import platform
from pathlib import Path

from wrg_onnx.graph import usable_cores

_CPU_INFO = Path("/proc/cpuinfo")


def machine() -> str:
    """Name the machine: its processor, and how many cores this process may use."""
    return f"{platform.system()} {platform.machine()} {processor()} {usable_cores()}"


def processor() -> str:
    """Return the model of the processor; Linux tells it in a file, others through Python."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
