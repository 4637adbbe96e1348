"""Functions of others by name, each with who brings it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from wrg_onnx.extensions.kind import Kind
from wrg_onnx.extensions.load import check_name
from wrg_onnx.extensions.origin import Origin, origin_of

Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Named(Generic[Function]):
    """A function that was registered.

    Attributes:
        function: What is called.
        origin: Who brings it.
    """

    function: Function
    origin: Origin


def register_named(
    kind: Kind, name: str, known: dict[str, Named[Function]], module: str
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function.

    Args:
        kind: What it is.
        name: What it is asked for by.
        known: Where it goes.
        module: The ``__name__`` of whoever registers it.

    Raises:
        ValueError: If the name is none, or (by the decorator) is taken; it says by whom.
    """
    check_name(kind, name)
    origin = origin_of(module)

    def register(function: Function) -> Function:
        if name in known:
            raise ValueError(f"there is a {kind.value} '{name}' already, of {known[name].origin}")
        known[name] = Named(function, origin)
        return function

    return register
