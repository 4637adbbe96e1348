"""What recovery repairs: the error of each layer's output before and after it is solved for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pictures.frame import MARGIN, WIDTH, Picture, axis, dot, key, line, text
from wrg_onnx.recover.outcome import LayerFit
from wrg_onnx.report.page.markup import middle_cut
from wrg_onnx.report.scale import LogScale

_TOP, _ROW, _LEFT = 44, 19, 138
_NAME = 18


def draw_recovery(fits: Sequence[LayerFit]) -> Picture:
    """Draw the error of each layer's output, over the variance of the original's.

    Args:
        fits: Of the layers in their order; those of which the error was measured are drawn.
    """
    known = [(fit.layer, fit.before, fit.after) for fit in fits]
    shown = [(name, b, a) for name, b, a in known if b is not None and a is not None]
    errors = [error for _, *both in shown for error in both]
    first = math.floor(math.log10(min(errors)))
    last = math.ceil(math.log10(max(errors)))
    scale = LogScale(10.0**first, 10.0**last, _LEFT, WIDTH - MARGIN - 14)
    bottom = _TOP + _ROW * len(shown)
    ticks = [(10.0**n, f"{10.0**n * 100:g}%") for n in range(first, last + 1)]
    parts = key(22, [("b", "as it was cut"), ("a", "solved for anew")])
    parts += axis(scale, _TOP - 6, bottom, ticks)
    for row, (name, before, after) in enumerate(shown):
        y = _TOP + (row + 0.5) * _ROW
        parts.append(text(MARGIN, y + 4, middle_cut(name, _NAME)))
        parts.append(line((scale(before), y), (scale(after), y), "link a"))
        parts += [dot(scale(before), y, "b"), dot(scale(after), y, "a")]
    better = sum(after < before for _, before, after in shown)
    return Picture(
        title="What recovery repairs, layer by layer",
        says=f"Error of the outputs of {len(shown)} layers over the variance of the original's, "
        f"from the input at the top to the output. With their weights solved for anew {better} of "
        f"them are nearer to the original: the largest error goes from "
        f"{max(before for _, before, _ in shown):.1%} to {max(after for *_, after in shown):.1%}.",
        height=bottom + 26,
        parts=parts,
    )
