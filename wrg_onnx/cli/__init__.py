"""The command line: parse, call the function of the same name in ``wrg_onnx``, print."""

from wrg_onnx.cli.app import main

__all__ = ["main"]
