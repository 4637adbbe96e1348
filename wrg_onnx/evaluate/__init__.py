"""Saliency metrics, latency in ONNX Runtime, and cost."""
