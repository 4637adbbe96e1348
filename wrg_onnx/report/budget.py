"""What a run was to reduce, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass

QUANTITY_WORDS = {
    "params": "parameters",
    "macs": "MACs",
    "bytes": "bytes",
    "latency": "time",
}
"""What the quantities are called, by the names of budgets."""


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """A budget, before and after.

    Attributes:
        kind: ``params``, ``macs``, ``bytes`` or ``latency``.
        before: The original's.
        after: What is left of it in what is written; milliseconds as measured in turn with the
            original.
        limit: How much was allowed to be left; None where a share was asked for.
        align: In which multiples of channels layers are kept; None where each counts.
    """

    kind: str
    before: float
    after: float
    limit: float | None = None
    align: int | None = None

    @property
    def share(self) -> float:
        """The share of the quantity that is gone."""
        return 1 - self.after / self.before if self.before else 0.0
