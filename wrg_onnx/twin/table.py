"""The table of operators: ONNX name and version to a torch function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from wrg_onnx.errors import ExtensionError, WrgError, spoken
from wrg_onnx.extensions import (
    OURS,
    Kind,
    Origin,
    calling_module,
    claim,
    load_all,
    origin_of,
    raise_if_failed,
    raise_if_missing,
)
from wrg_onnx.graph.model import Node, Value

TwinFunction: TypeAlias = Callable[..., Tensor | tuple[Tensor, ...]]
"""``(node, *inputs) -> output(s)``; an absent optional input is None, or left out at the end.

That of a control-flow operator takes its bodies, too: ``bodies``, a mapping from attribute to
`Body`.
"""

_Function = TypeVar("_Function", bound=TwinFunction)


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A branch or loop body, ready to run.

    Attributes:
        run: From what it is fed to what it returns.
        returned: What the file says of the outputs.
    """

    run: Callable[[Sequence[Tensor]], tuple[Tensor, ...]]
    returned: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class TwinOp:
    """One operator, as of one version.

    Attributes:
        function: What it computes; pure, and differentiable where the operator is.
        family: The name of the file in ``ops/`` that registers it.
        host: Positions of operands that say where or how much rather than what (shapes, axes,
            scales, bounds): they are read on the CPU, and a constant there is not a weight.
        fixed: Positions of operands that are float data but do not train, such as running means.
        pointwise: Whether a constant of one element is a number of a formula, such as the 6 of
            ``x / 6``, rather than a weight.
    """

    function: TwinFunction
    family: str
    host: tuple[int, ...] = ()
    fixed: tuple[int, ...] = ()
    pointwise: bool = False


_TABLE: dict[tuple[str, str], dict[int, TwinOp]] = {}


def twin_op(
    *ops: str,
    since: int,
    domain: str = "",
    host: tuple[int, ...] = (),
    fixed: tuple[int, ...] = (),
    pointwise: bool = False,
) -> Callable[[_Function], _Function]:
    """Register a function as the twin of operators.

    Args:
        ops: Names of the operators that it computes.
        since: The first opset version whose semantics it has.
        domain: The operators' domain; ``""`` is ai.onnx.
        host: See `TwinOp`.
        fixed: See `TwinOp`.
        pointwise: See `TwinOp`.

    Returns:
        A decorator that registers the function and returns it as it is.

    Raises:
        ValueError: If an operator is registered already for this version, or is another package's.
    """
    module = calling_module()
    family, origin = module.rpartition(".")[2], origin_of(module)

    def register(function: _Function) -> _Function:
        run = function if origin == OURS else _guarded(function, origin)
        for op in ops:
            claim(Kind.TWIN, (domain, op), origin)
            versions = _TABLE.setdefault((domain, op), {})
            if since in versions:
                raise ValueError(f"'{domain}:{op}' is registered twice for version {since}")
            versions[since] = TwinOp(run, family, host, fixed, pointwise)
        return function

    return register


def _guarded(function: TwinFunction, origin: Origin) -> TwinFunction:
    """Return a function whose failures name whoever brings it."""

    @wraps(function)
    def run(node: Node, *inputs: Any, **bodies: Any) -> Tensor | tuple[Tensor, ...]:
        try:
            return function(node, *inputs, **bodies)
        except (torch.OutOfMemoryError, WrgError):
            raise
        except Exception as error:
            raise ExtensionError(
                f"the twin operator of {origin} fails on {node}: {spoken(error)}"
            ) from error

    return run


def lookup(domain: str, op: str, version: int) -> TwinOp | None:
    """Return the operator with the greatest since-version up to ``version``, or None.

    Raises:
        ExtensionError: If an installed package of others says that it brings it, and does not.
    """
    load_all(Kind.TWIN)
    name = f"{domain}.{op}" if domain else op
    raise_if_failed(Kind.TWIN, name)
    if (domain, op) not in _TABLE:
        raise_if_missing(Kind.TWIN, name)
    versions = _TABLE.get((domain, op), {})
    since = max((known for known in versions if known <= version), default=None)
    return None if since is None else versions[since]


def registered() -> Iterator[tuple[str, str, int]]:
    """Yield the keys of the table, (domain, operator, since-version), in sorted order."""
    yield from sorted(
        (domain, op, since) for (domain, op), versions in _TABLE.items() for since in versions
    )


def families() -> Mapping[tuple[str, str], frozenset[str]]:
    """Return by (domain, operator) the families whose files register it."""
    return {
        key: frozenset(entry.family for entry in versions.values())
        for key, versions in sorted(_TABLE.items())
    }


def plain(function: Callable[..., Tensor]) -> TwinFunction:
    """Turn a function of tensors alone into one that takes the node and does not look at it."""
    return lambda _node, *inputs: function(*inputs)
