"""How long work tells how far it is, for those above."""

from wrg_onnx.graph.progress import Progress, silent

__all__ = ["Progress", "silent"]
