"""How much a user wants gone: a share of a budget, or a limit to what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrg_onnx.choices import BudgetKind
from wrg_onnx.errors import UsageError
from wrg_onnx.pipeline.api.arguments import read_choice, read_number, read_text

if TYPE_CHECKING:
    from wrg_onnx.pipeline.config import MaxDrop


@dataclass(frozen=True, slots=True)
class Target:
    """How much is to go.

    Attributes:
        budget: The quantity.
        ratio: The share of it; 0 where a limit says more.
        limit: How much of it may be left; None for no limit.
        max_drop: How much worse the model may get; None where a ratio or a limit says it.
    """

    budget: BudgetKind
    ratio: float = 0.0
    limit: float | None = None
    max_drop: MaxDrop | None = None


def read_target(
    ratio: float | None,
    budget: BudgetKind | str | None,
    limits: Mapping[BudgetKind, float | None],
    max_drop: MaxDrop | None = None,
) -> Target:
    """Take a ratio of a budget, a limit, or how much worse the model may get.

    Args:
        ratio: The share to remove.
        budget: Of what; None is parameters, or what the limit speaks of.
        limits: By quantity how much may be left.
        max_drop: How much worse the model may get.

    Raises:
        UsageError: If there is not exactly one of all, or a limit of another budget.
    """
    given = {kind: limit for kind, limit in limits.items() if limit is not None}
    count = (ratio is not None) + (max_drop is not None) + len(given)
    if count != 1:
        raise UsageError(
            "give one of ratio, max_drop, max_params, max_macs, max_bytes and max_latency_ms "
            f"(--ratio, --max-drop, --max-params, ...), got {count or 'none'}"
        )
    named = None if budget is None else read_choice("budget", BudgetKind, budget)
    if ratio is not None:
        return Target(named or BudgetKind.PARAMS, read_number("ratio", ratio))
    if max_drop is not None:
        return Target(named or BudgetKind.PARAMS, max_drop=max_drop)
    kind, limit = next(iter(given.items()))
    if named not in (None, kind):
        raise UsageError(f"a limit of {kind.value} is no budget of {named.value}: leave it out")
    return Target(kind, limit=read_number(f"the limit of {kind.value}", limit))


def read_max_drop(max_drop: float | None, metric: str | None) -> MaxDrop | None:
    """Take how much worse a metric may get.

    Raises:
        UsageError: If there is a metric and no drop, or one is out of its range.
    """
    from wrg_onnx.pipeline.config import MaxDrop

    if max_drop is None:
        if metric is not None:
            raise UsageError("metric is for max_drop (--metric, --max-drop)")
        return None
    named = None if metric is None else read_text("metric", metric)
    return MaxDrop(read_number("max_drop", max_drop), named)
