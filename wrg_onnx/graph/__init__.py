"""Load, save, shapes and sessions; the only folder that knows onnx-graphsurgeon."""
