"""The command line: parse, call the pipeline, print."""

from wrg_onnx.cli.app import main

__all__ = ["main"]
