"""Options that stand in a file instead of on the command line."""

from wrg_onnx.cli.config.take import CONFIG_OPTIONS, take_config

__all__ = ["CONFIG_OPTIONS", "take_config"]
