"""Functions of others, whose failures are told with their package's name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from wrg_onnx.channels.answers import Coupling, ShapeConflictError
from wrg_onnx.channels.axes import Call
from wrg_onnx.errors import ExtensionError, WrgError, spoken
from wrg_onnx.extensions import Origin


def guarded(
    function: Callable[..., Any], what: str, expected: type[object], origin: Origin
) -> Callable[..., Any]:
    """Return a rule or derivation whose failures name whoever brings it.

    Args:
        function: Takes a `Call` first.
        what: What it is, for messages.
        expected: The type of its answer.
        origin: Who brings it.
    """

    @wraps(function)
    def ask(call: Call, *rest: Any) -> Any:
        try:
            found = function(call, *rest)
        except (WrgError, ShapeConflictError):
            raise
        except Exception as error:
            raise ExtensionError(
                f"the {what} of {origin} fails on {call.node}: {spoken(error)}"
            ) from error
        if not isinstance(found, expected):
            raise ExtensionError(
                f"the {what} of {origin} gives {type(found).__name__} for {call.node}: expected a "
                f"{expected.__name__}"
            )
        if isinstance(found, Coupling):
            _check_outputs(call, found, f"the {what} of {origin}")
        return found

    return ask


def _check_outputs(call: Call, found: Coupling, label: str) -> None:
    """Refuse an answer that is of another node than this."""
    shapes = [axes.shape for axes in found.outputs]
    if shapes != list(call.output_shapes):
        raise ExtensionError(
            f"{label} gives outputs of {shapes} for {call.node}, which makes "
            f"{list(call.output_shapes)}"
        )
