"""Faults of the package: what a report needs goes to a file, and one line says where that is."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback

from wrg_onnx.errors import one_line, spoken
from wrg_onnx.printable import printable_lines
from wrg_onnx.version import __version__

PACKAGES = ("onnx", "onnxruntime", "numpy", "scipy", "torch")
"""Whose versions are told, where they are loaded."""


def fault_line(error: BaseException) -> str:
    """Keep the traceback of an error that nobody expected, and say so in one line."""
    return (
        f"Error: {spoken(error)}. This is a fault of wrg-onnx: please report it. "
        f"{keep_details(_trace(error))}"
    )


def note_line(error: BaseException) -> str:
    """Keep the traceback of an error that the run goes on behind, and say so in one line."""
    return f"Note: {spoken(error)}, which changed nothing. {keep_details(_trace(error))}"


def keep_details(trace: str) -> str:
    """Write a traceback, and the versions that it is about, to a file that only its owner reads.

    It holds nothing of the command line, of the environment, or of what variables held.

    Args:
        trace: As Python formats it, of several lines.

    Returns:
        A sentence that says where the file is, or why there is none.
    """
    try:
        handle, name = tempfile.mkstemp(prefix="wrg-onnx-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{_versions()}\n\n{printable_lines(trace)}\n")
    except OSError as error:
        return f"Its details cannot be written to the folder for temporary files: {one_line(error)}"
    return f"Its details are in {name}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _versions() -> str:
    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in PACKAGES}
    named = [f"{name} {version}" for name, version in loaded.items() if version]
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return ", ".join([f"wrg-onnx {__version__}", python, *named])
