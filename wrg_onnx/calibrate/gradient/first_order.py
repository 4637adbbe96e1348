"""G of each channel: gradient x activation, reduced as the backward pass comes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.calibrate.measurements import Row
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import GRADIENT


class FirstOrderEffects:
    """What removing each channel would do to the loss of one batch, to first order.

    Args:
        taps: Where to look.
        size: How many images the batch holds.
        device: Where it is.

    Attributes:
        watches_any: Whether any tensor has a gradient at all; one of integers has none.
    """

    def __init__(self, taps: Sequence[Tap], size: int, device: torch.device) -> None:
        self.watches_any = False
        self._size = size
        # Every watched tensor seems to depend on it, so a backward pass towards it reaches all of
        # them and nothing else.
        self._start = torch.zeros((), device=device, requires_grad=True)
        self._found = {tap.tensor: np.zeros((size, len(tap.units))) for tap in taps}

    def watch(self, tap: Tap, value: Tensor) -> Tensor:
        """Return a tensor with the same values, whose gradient is looked at."""
        if not value.is_floating_point():
            return value
        self.watches_any = True
        note = partial(self._note, tap)
        watched: Tensor = _Watch.apply(value, self._start, note)  # type: ignore[no-untyped-call]
        return watched

    def take(self, loss: Tensor) -> None:
        """Run the backward pass.

        Args:
            loss: (), float, which depends on watched tensors.
        """
        torch.autograd.grad(loss, self._start, allow_unused=True)

    def rows(self) -> list[Row]:
        """Return what was found, by image.

        Raises:
            StatisticsError: If a number is not finite; it names the tensor.
        """
        for name, values in self._found.items():
            if not np.isfinite(values).all():
                raise StatisticsError(
                    f"the gradient at '{name}' holds NaN or infinity; use a criterion without "
                    "gradient, such as --criterion wr"
                )
        return [{GRADIENT: row} for row in np.concatenate([*self._found.values()], axis=1)]

    def _note(self, tap: Tap, value: Tensor, gradient: Tensor) -> None:
        effect = value * gradient
        if effect.itemsize < 4:
            effect = effect.float()
        # To (images, C, places). All axes of an image but the channels are places, and so are
        # windows, which stand in the batch's place, those of one image after each other:
        #     channels first            (C, images * windows, ...)
        #     the second axis divided   (C, images, windows, ...)
        #     the images first          (images, C, windows, ...), and all behind C is places.
        # One image has no such order: its channels may stand on axis 0 themselves.
        places = effect.movedim(tap.axis, 0)
        if self._size > 1:
            places = torch.unflatten(places, 1, (self._size, -1)).movedim(1, 0).flatten(2)
        else:
            places = places.reshape(1, len(tap.units), -1)
        self._found[tap.tensor] = places.mean(2).abs().double().cpu().numpy()


class _Watch(torch.autograd.Function):
    """The identity, which tells the value and its gradient to a function."""

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        start: Tensor,  # noqa: ARG004 - what autograd takes the result to depend on
        note: Callable[[Tensor, Tensor], None],
    ) -> Tensor:
        # Saved by autograd, not by us: where the net runs in parts it is made again, too.
        ctx.save_for_backward(value)
        ctx.note = note
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (value,) = ctx.saved_tensors
        ctx.note(value, gradient)
        return gradient, None, None
