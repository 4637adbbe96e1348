"""The kinds of things that others can add."""

from __future__ import annotations

import enum


class Kind(enum.Enum):
    """Something that others can add; the value is what messages call it."""

    FACTOR = "factor"
    CRITERION = "criterion"
    RULE = "rule"
    TWIN = "twin operator"
    LOSS = "loss"
    DATA_SOURCE = "data source"

    @property
    def group(self) -> str:
        """The group of its entry points."""
        return f"wrg_onnx.{_PLURALS[self]}"


_PLURALS = {
    Kind.FACTOR: "factors",
    Kind.CRITERION: "criteria",
    Kind.RULE: "rules",
    Kind.TWIN: "twin_operators",
    Kind.LOSS: "losses",
    Kind.DATA_SOURCE: "data_sources",
}
