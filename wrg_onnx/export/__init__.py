"""A torch module as an ONNX file, and the comparison of both."""
