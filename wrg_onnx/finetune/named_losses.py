"""Losses of others, by name; without torch, which their functions need and their names do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from wrg_onnx.errors import UsageError
from wrg_onnx.extensions import (
    Kind,
    Named,
    calling_module,
    installed,
    load_named,
    raise_if_missing,
    register_named,
)
from wrg_onnx.nearest import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

LossFunction: TypeAlias = (
    "Callable[[dict[str, Tensor], Tensor | None, dict[str, Tensor] | None], Tensor]"
)
"""Takes the outputs by name, the mask (N, 1, H, W) and the teacher's outputs; returns a scalar."""


_LOSSES: dict[str, Named[LossFunction]] = {}


def loss(name: str) -> Callable[[LossFunction], LossFunction]:
    """Register a loss: ``--loss NAME`` takes it.

    Args:
        name: Two or more lower-case letters, digits, hyphens and underscores.

    Returns:
        A decorator of a function from the outputs by name, the mask (N, 1, H, W) float in [0, 1] or
        None, and the teacher's outputs or None, to a scalar that has a gradient. It returns it as
        it is.

    Raises:
        ValueError: If the name is taken; the message says by whom.
    """
    return register_named(Kind.LOSS, name, _LOSSES, calling_module())


def find_loss(name: str) -> Named[LossFunction]:
    """Return the loss of a name.

    Raises:
        UsageError: If there is none; it lists those that there are.
        ExtensionError: If an installed package says that it brings it, and does not.
    """
    load_named(Kind.LOSS, name)
    if name not in _LOSSES:
        raise_if_missing(Kind.LOSS, name)
        known = sorted({*_LOSSES, *installed(Kind.LOSS)})
        listed = ", ".join(f"'{one}'" for one in known) or "none is installed"
        raise UsageError(
            "a loss is written module:function, such as my_losses:focal, or by the name of one "
            f"that an installed package brings ({listed}); got '{name}'{did_you_mean(name, known)}"
        )
    return _LOSSES[name]
