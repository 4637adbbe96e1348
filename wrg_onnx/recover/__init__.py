"""Change surviving weights to win back accuracy: bias compensation, ridge, fine-tuning."""

from wrg_onnx.recover.kept import KeptChannels, compose, kept_channels

__all__ = ["KeptChannels", "compose", "kept_channels"]
