"""A compiler that removes whole channels from trained ONNX models, and proves it."""

__version__ = "0.1.0"
