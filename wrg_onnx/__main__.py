"""``python -m wrg_onnx`` is the command line."""

import sys

from wrg_onnx.cli.guard import run

if __name__ == "__main__":
    sys.exit(run())
