"""What is to be measured, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from wrg_onnx.calibrate.cache import Cache
from wrg_onnx.data.workers import Alone, Workers
from wrg_onnx.factors import Factor
from wrg_onnx.graph import Provider


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Which factors to measure, and how.

    Attributes:
        factors: What is wanted.
        provider: Where ONNX Runtime computes.
        mixed: Whether gradients are computed in bfloat16 where torch thinks it safe.
        bound_bytes: How many bytes of feature maps are held at a time; None for what suits the
            device.
        cache: Where what was measured is kept; None for nowhere.
        least: How many images are looked at before the certainty is asked for.
        enough: The certainty that ends the pass; 1 is never enough, so that each factor is
            measured on all images.
        workers: The processes that share the images.
    """

    factors: frozenset[Factor]
    provider: Provider = Provider.AUTO
    mixed: bool = False
    bound_bytes: int | None = None
    cache: Cache | None = None
    least: int = 16
    enough: float = 0.98
    workers: Workers = field(default_factory=Alone)
