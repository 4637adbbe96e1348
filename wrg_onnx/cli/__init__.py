"""The command line: parse, call the function of the same name in ``wrg_onnx``, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wrg_onnx.cli.app import main

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    """Import the commands when they are asked for: ``guard`` stands here, and must come first."""
    if name != "main":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from wrg_onnx.cli.app import main as found

    return found
