"""The time of layers, as far as details have it."""

from __future__ import annotations

from dataclasses import replace

from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report.details import MOST_TIMED
from wrg_onnx.report.small import rounded, short_text


def small_times(found: SideBySide) -> tuple[SideBySide, int]:
    """Return the layers that take longest, with short names and numbers, and how many are left out.

    Args:
        found: Two models layer by layer.
    """
    order = sorted(range(len(found.layers)), key=lambda at: -_longest(found.layers[at]))
    listed = tuple(_small(found.layers[at]) for at in sorted(order[:MOST_TIMED]))
    after = None if found.after_ms is None else rounded(found.after_ms)
    small = SideBySide(listed, rounded(found.before_ms), after)
    return small, len(found.layers) - len(listed)


def _longest(layer: LayerTime) -> float:
    return max(layer.before_ms or 0.0, layer.after_ms or 0.0)


def _small(layer: LayerTime) -> LayerTime:
    return replace(
        layer,
        name=short_text(layer.name),
        op=short_text(layer.op),
        before_ms=None if layer.before_ms is None else rounded(layer.before_ms),
        after_ms=None if layer.after_ms is None else rounded(layer.after_ms),
        layout_before_ms=rounded(layer.layout_before_ms),
        layout_after_ms=rounded(layer.layout_after_ms),
        why=short_text(layer.why),
    )
