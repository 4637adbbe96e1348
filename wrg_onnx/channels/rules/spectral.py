"""Fourier transforms and what they are fed: windows and filter banks."""

from __future__ import annotations

from wrg_onnx.channels.answers import Coupling, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.couplings import freeze_along, freeze_whole
from wrg_onnx.channels.rules.creation import couple_made_from_shape
from wrg_onnx.channels.table import op_rule

op_rule("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix", since=1)(
    couple_made_from_shape
)


@op_rule("DFT", since=17)
def couple_dft_attribute(call: Call) -> Coupling:
    """Freeze the axis that is transformed and the one of real and imaginary parts.

    Shapes:
        X (..., n, ..., 1 or 2), length () -> Y (..., m, ..., 2).
    """
    rank = call.axes().rank
    return _transform(call, call.node.axis("axis", rank=rank, default=1))


@op_rule("DFT", since=20)
def couple_dft(call: Call) -> Coupling:
    """Freeze the axis that is transformed and the one of real and imaginary parts.

    Shapes:
        X (..., n, ..., 1 or 2), length (), axis () -> Y (..., m, ..., 2 or 1).

    Source: https://onnx.ai/onnx/operators/onnx__DFT.html
    """
    axis = call.integers(2) if call.optional(2) is not None else (-2,)
    if axis is None:
        return freeze_whole(call, "takes a Fourier transform over an axis computed at run time")
    return _transform(call, axis[0] % call.axes().rank)


def _transform(call: Call, axis: int) -> Coupling:
    return freeze_along(
        call, [axis, call.axes().rank - 1], "takes a Fourier transform over this axis"
    )


@op_rule("STFT", since=17)
def couple_stft(call: Call) -> Coupling:
    """Freeze the signal and the window; the batch passes.

    Shapes:
        signal (N, length, 1 or 2), step (), window (w), length () -> Y (N, frames, bins, 2).

    Source: https://onnx.ai/onnx/operators/onnx__STFT.html
    """
    x, reason = call.axes(), "takes a Fourier transform over this axis"
    frozen = freeze_axes(x, range(1, x.rank), reason)
    window = call.optional(2)
    if window is not None:
        frozen += freeze_axes(window.axes, [0], reason)
    made = Axes(call.output_shapes[0], (x.ids[0], None, None, None))
    return Coupling((made,), frozen=frozen)
