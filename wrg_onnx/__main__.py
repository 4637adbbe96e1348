"""``python -m wrg_onnx`` is the command line."""

from wrg_onnx.cli import main

if __name__ == "__main__":
    main()
