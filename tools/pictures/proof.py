"""What the proof sees: how far tensors of a right cut and of a wrong one are off."""

from __future__ import annotations

from collections.abc import Mapping

from pictures.frame import MARGIN, WIDTH, Picture, axis, dot, key, line, text
from wrg_onnx.report.page.markup import middle_cut
from wrg_onnx.report.scale import LogScale

_TOP, _ROW, _LEFT, _NAME = 60, 17, 108, 13
_LOW, _HIGH = 1e-8, 10.0
_TICKS = tuple((10.0**n, f"1e{n}") for n in (-8, -6, -4, -2, 0))


def draw_proof(right: Mapping[str, float], wrong: Mapping[str, float], tolerance: float) -> Picture:
    """Draw the difference of each compared tensor from the masked original's.

    Args:
        right: By tensor, in the order in which they are computed, that of the cut as it is made;
            relative to the tensor's largest value.
        wrong: The same of a cut that takes one channel for another.
        tolerance: What is let pass.
    """
    scale = LogScale(_LOW, _HIGH, _LEFT, WIDTH - MARGIN - 8)
    bottom = _TOP + _ROW * len(right)
    parts = key(22, [("a", "the cut"), ("b", "one channel taken for another")])
    parts += axis(scale, _TOP - 8, bottom, _TICKS)
    parts.append(line((scale(tolerance), _TOP - 8), (scale(tolerance), bottom), "bound"))
    parts.append(text(scale(tolerance), _TOP - 14, "tolerance", "soft", "middle"))
    for row, (name, error) in enumerate(right.items()):
        y = _TOP + (row + 0.5) * _ROW
        parts.append(text(MARGIN, y + 4, middle_cut(name, _NAME)))
        parts += [
            dot(scale(max(difference, _LOW)), y, tone)
            for difference, tone in ((wrong[name], "b"), (error, "a"))
        ]
    noticed, most = sum(error > tolerance for error in wrong.values()), max(wrong.values())
    return Picture(
        title="Differences from the masked original, tensor by tensor",
        says=f"{len(right)} tensors from the first layer at the top to the output. Those of the "
        f"cut differ by {max(right.values()):.1e} at most. Of a cut that takes one channel for "
        f"another {noticed} differ by more than {tolerance:g}, the largest by {most:.1e}.",
        height=bottom + 26,
        parts=parts,
    )
