"""What SEL is made of: the three factors of each channel of a layer, and their product."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pictures.frame import MARGIN, WIDTH, Picture, axis, key, text, way
from wrg_onnx.report.details import LayerDetail
from wrg_onnx.report.scale import LogScale

_ROWS = ("W, weight", "R, rank", "G, gradient", "SEL = W · R · G")
_TOP, _ROW, _LEFT = 60, 56, 118
_LEAST = 1e-4
"""A factor may be 0, which has no logarithm: it is drawn here."""


def draw_factors(layer: LayerDetail) -> Picture:
    """Draw each channel as a line through its factors, each over its geometric mean.

    Args:
        layer: With all three factors of each channel.
    """
    factors = [_numbers(layer, name) for name in ("w", "r", "g", "scores")]
    channels = list(zip(*factors, strict=True))
    flat = [value for values in channels for value in values]
    low = 10 ** math.floor(math.log10(min(flat)))
    high = 10 ** math.ceil(math.log10(max(flat)))
    scale = LogScale(low, high, _LEFT, WIDTH - MARGIN - 8)
    bottom = _TOP + 3 * _ROW
    decades = [10.0**n for n in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    parts = key(
        22, [("a", f"{layer.kept} that stay"), ("b", f"{layer.units - layer.kept} that go")]
    )
    parts += axis(scale, _TOP - 12, bottom + 12, [(value, f"{value:g}") for value in decades])
    parts += [text(MARGIN, _TOP + row * _ROW + 4, words) for row, words in enumerate(_ROWS)]
    # Those that go are drawn last, so that they are seen.
    for values, alive in sorted(
        zip(channels, layer.alive, strict=True), key=lambda one: not one[1]
    ):
        points = ((scale(value), _TOP + row * _ROW) for row, value in enumerate(values))
        parts.append(way(points, "a" if alive else "b"))
    spread = ", ".join(
        f"{name} from {min(values):.2g} to {max(values):.2g}"
        for name, values in zip(("W", "R", "G", "SEL"), factors, strict=True)
    )
    return Picture(
        title=f"W, R, G and SEL of the channels of {layer.name}",
        says=f"{layer.units} channels, each over the geometric mean of its layer: {spread}. "
        f"{layer.units - layer.kept} of them go, {layer.kept} stay.",
        height=bottom + 40,
        parts=parts,
    )


def _numbers(layer: LayerDetail, name: str) -> Sequence[float]:
    found = getattr(layer, name)
    if found is None or not found.each:
        raise ValueError(f"{layer.name} has no {name} of each channel")
    return [max(value, _LEAST) for value in found.each]
