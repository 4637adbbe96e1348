"""Fourier transforms and what goes with them: windows and mel scales."""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.twin.attributes import dtype, integers
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


_FLOAT32 = 1


@twin_op("DFT", since=17, host=(1,))
def dft_17(node: Node, x: Tensor, length: Tensor | None = None) -> Tensor:
    """Transform along ``axis``, an attribute, as before opset 20."""
    return _dft(node, x, length, node.axis("axis", rank=x.dim(), default=1))


@twin_op("DFT", since=20, host=(1, 2))
def dft(node: Node, x: Tensor, length: Tensor | None = None, axis: Tensor | None = None) -> Tensor:
    """Transform along an axis, forward or back.

    Shapes:
        x (..., n, ..., 1 or 2), real and imaginary parts -> (..., m, ..., 2), or (..., m, ..., 1)
        from the one-sided half of a spectrum.

    Source: https://onnx.ai/onnx/operators/onnx__DFT.html
    """
    place = -2 if axis is None else integers(axis)[0]
    return _dft(node, x, length, place % x.dim())


def _dft(node: Node, x: Tensor, length: Tensor | None, axis: int) -> Tensor:
    inverse, one_sided = node.int("inverse", 0), node.int("onesided", 0)
    count = None if length is None else integers(length)[0]
    # Torch has no half precision here on every device.
    signal = x if x.dtype == torch.float64 else x.float()
    if inverse:
        spectrum = (
            torch.complex(signal[..., 0], signal[..., 1]) if x.shape[-1] == 2 else signal[..., 0]
        )
        if one_sided:
            return torch.fft.irfft(spectrum, count, axis)[..., None].to(x.dtype)  # type: ignore[no-any-return]
        return torch.view_as_real(torch.fft.ifft(spectrum, count, axis)).to(x.dtype)
    if x.shape[-1] == 1:
        run = torch.fft.rfft if one_sided else torch.fft.fft
        return torch.view_as_real(run(signal[..., 0], count, axis)).to(x.dtype)
    full = torch.fft.fft(torch.complex(signal[..., 0], signal[..., 1]), count, axis)
    if one_sided:
        full = full.narrow(axis, 0, full.shape[axis] // 2 + 1)
    return torch.view_as_real(full).to(x.dtype)


@twin_op("STFT", since=17, host=(1, 3), fixed=(2,))
def stft(
    node: Node,
    x: Tensor,
    step: Tensor,
    window: Tensor | None = None,
    length: Tensor | None = None,
) -> Tensor:
    """Transform each frame of a signal, weighed by a window.

    Shapes:
        x (B, n), (B, n, 1) or (B, n, 2), window (w) -> (B, frames, w or w // 2 + 1, 2).

    Source: https://onnx.ai/onnx/operators/onnx__STFT.html
    """
    signal = x if x.dim() == 3 else x[..., None]
    if length is not None:
        size = integers(length)[0]
    else:
        size = signal.shape[1] if window is None else window.shape[0]
    frames = signal.unfold(1, size, integers(step)[0]).transpose(2, 3)  # (B, frames, size, parts)
    if window is not None:
        frames = frames * window[:, None]
    # One-sided unless the node says otherwise, and never of a complex signal.
    one_sided = node.int("onesided", 1) and frames.shape[-1] == 1
    values = frames if frames.dtype == torch.float64 else frames.float()
    if frames.shape[-1] == 2:
        made = torch.fft.fft(torch.view_as_complex(values.contiguous()), dim=2)
    else:
        made = (torch.fft.rfft if one_sided else torch.fft.fft)(values[..., 0], dim=2)
    return torch.view_as_real(made).to(x.dtype)


@twin_op("HannWindow", since=17, host=(0,))
def hann_window(node: Node, size: Tensor) -> Tensor:
    """Make a raised cosine."""
    return _window(node, size, (0.5, -0.5))


@twin_op("HammingWindow", since=17, host=(0,))
def hamming_window(node: Node, size: Tensor) -> Tensor:
    """Make a raised cosine that does not reach zero."""
    return _window(node, size, (25 / 46, -21 / 46))


@twin_op("BlackmanWindow", since=17, host=(0,))
def blackman_window(node: Node, size: Tensor) -> Tensor:
    """Make a sum of two cosines."""
    return _window(node, size, (0.42, -0.5, 0.08))


def _window(node: Node, size: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Sum cosines of whole multiples of one period over the window, or over one step less."""
    count = integers(size)[0]
    period = count if node.int("periodic", 1) else count - 1
    angles = torch.arange(count, dtype=torch.float64) * (2 * pi / max(period, 1))
    waves = [weight * torch.cos(times * angles) for times, weight in enumerate(weights)]
    return torch.stack(waves).sum(0).to(dtype(node, "output_datatype", _FLOAT32))


@twin_op("MelWeightMatrix", since=17, host=(0, 1, 2, 3, 4))
def mel_weight_matrix(node: Node, *numbers: Tensor) -> Tensor:
    """Make triangles on the mel scale.

    Args:
        node: For the type of the result.
        numbers: Bins, the transform's length, the sample rate, the lowest and highest frequency.

    Source: https://onnx.ai/onnx/operators/onnx__MelWeightMatrix.html
    """
    bins, length, rate, low, high = (number.item() for number in numbers)
    low_mel, high_mel = (2595 * np.log10(1 + edge / 700) for edge in (low, high))
    mels = np.arange(bins + 2) * ((high_mel - low_mel) / (bins + 2)) + low_mel
    edges = ((length + 1) * 700 * (10 ** (mels / 2595) - 1) // rate).astype(np.int64)
    triangles = np.zeros((int(length) // 2 + 1, int(bins)))
    for column in range(int(bins)):
        left, centre, right = edges[column : column + 3]
        rising = np.arange(left, centre + 1)
        triangles[rising, column] = (rising - left) / (centre - left) if centre > left else 1.0
        falling = np.arange(centre, right)
        if right > centre:
            triangles[falling, column] = (right - falling) / (right - centre)
    return torch.from_numpy(triangles).to(dtype(node, "output_datatype", _FLOAT32))
