"""What each layer of a model takes in ONNX Runtime, beside that of another one, and why."""

from wrg_onnx.latency.profile.explain import Anatomy, LayerTime, SideBySide, alone, side_by_side
from wrg_onnx.latency.profile.models import profile_models

__all__ = ["Anatomy", "LayerTime", "SideBySide", "alone", "profile_models", "side_by_side"]
