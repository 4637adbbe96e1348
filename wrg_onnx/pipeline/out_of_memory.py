"""Out of memory is told with the stage it came in, and what needs less there."""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.errors import OutOfMemoryError

WORDS = (
    "allocate memory",  # ONNX Runtime, torch on the CPU, the system
    "unable to allocate",  # NumPy
    "not enough memory",  # torch on the CPU
    "out of memory",  # CUDA
    "bad_alloc",
    "bad allocation",
    "bfc_arena",  # where ONNX Runtime fails, of which the end of its message may be cut off
)
"""What libraries say, each in its own way and some of them in errors of no kind of their own."""

_SIZE = "a smaller --size (or --shape), where the model leaves it open"

_MACHINE = "close other programs, or take a machine with more memory"

HELP: Mapping[str, str] = {
    "load": _MACHINE,
    "analyse": _MACHINE,
    "budget": f"{_SIZE}; or --budget macs, for which nothing is run",
    "data": _SIZE,
    # An image at a time goes through the model: how many there are makes no difference.
    "calibrate": f"{_SIZE}; or --criterion repair, for which there are no gradients",
    "measure": f"{_SIZE}; or --criterion l1 --recover none, for which no layer is looked at",
    "select": _MACHINE,
    "rewrite": _MACHINE,
    "validate": _SIZE,
    "recover": f"--recover bias, or none; or {_SIZE}",
    "sparsify": f"{_SIZE}; or no --sparsify",
    "convert": f"{_SIZE}; or neither --half nor --int8",
    "train": f"a smaller --batch; or {_SIZE}",
    "check": _SIZE,
    "evaluate": f"{_SIZE}; of prune and finetune also --no-evaluate",
    "latency": f"{_SIZE}; of prune also --no-evaluate",
    "kernels": _MACHINE,
    "save": _MACHINE,
    "report": _MACHINE,
    "details": f"{_SIZE}; or neither --report nor --details",
    "profile": f"{_SIZE}; or neither --report nor --details",
}
"""By stage, what needs less memory there."""


def is_lack_of_memory(error: Exception) -> bool:
    """Tell whether an error says that there was not enough memory."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(word in said for word in WORDS)


def out_of_memory(stage: str, error: Exception) -> OutOfMemoryError:
    """Return the error of a stage that ran out of memory.

    Args:
        stage: Its name.
        error: What a library said.
    """
    said = f" ({' '.join(str(error).split())[:120]})" if str(error) else ""
    return OutOfMemoryError(
        f"out of memory in the stage '{stage}'{said}; what needs less: {HELP.get(stage, _SIZE)}"
    )
