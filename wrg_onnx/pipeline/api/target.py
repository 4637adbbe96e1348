"""How much a user wants gone: a share of a budget, or a limit to what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wrg_onnx.choices import BudgetKind
from wrg_onnx.errors import UsageError
from wrg_onnx.pipeline.api.arguments import read_choice, read_number


@dataclass(frozen=True, slots=True)
class Target:
    """How much is to go.

    Attributes:
        budget: The quantity.
        ratio: The share of it; 0 where a limit says more.
        limit: How much of it may be left; None for no limit.
    """

    budget: BudgetKind
    ratio: float = 0.0
    limit: float | None = None


def read_target(
    ratio: float | None,
    budget: BudgetKind | str | None,
    limits: Mapping[BudgetKind, float | None],
) -> Target:
    """Take a ratio of a budget, or a limit.

    Args:
        ratio: The share to remove.
        budget: Of what; None is parameters, or what the limit speaks of.
        limits: By quantity how much may be left.

    Raises:
        UsageError: If there is not exactly one of all, or a limit of another budget.
    """
    given = {kind: limit for kind, limit in limits.items() if limit is not None}
    if (ratio is not None) + len(given) != 1:
        raise UsageError(
            "give one of ratio, max_params, max_macs, max_bytes and max_latency_ms (--ratio, "
            f"--max-params, ...), got {(ratio is not None) + len(given) or 'none'}"
        )
    named = None if budget is None else read_choice("budget", BudgetKind, budget)
    if ratio is not None:
        return Target(named or BudgetKind.PARAMS, read_number("ratio", ratio))
    kind, limit = next(iter(given.items()))
    if named not in (None, kind):
        raise UsageError(f"a limit of {kind.value} is no budget of {named.value}: leave it out")
    return Target(kind, limit=read_number(f"the limit of {kind.value}", limit))
