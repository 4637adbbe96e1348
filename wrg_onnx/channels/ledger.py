"""What the pass over the graph writes down: ties, freezes, and the numbers that must not change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.channels.answers import Coupling
from wrg_onnx.channels.axes import Call
from wrg_onnx.channels.ids import INERT, BoolArray, IdArray
from wrg_onnx.channels.reasons import Kind, Reason, kind_of
from wrg_onnx.channels.sizes import Place, Size
from wrg_onnx.channels.traits import traits_of
from wrg_onnx.graph import Node

MEETS = "meets an axis that stays as it is"
MEETS_INPUT = "meets the model's input"

MOST_MADE = 1 << 20
"""How many positions of axes that nodes make from numbers get ids: each costs 200 bytes, and a
number in the file asks for any length. Such axes hold no weights; beyond this they stay."""


@dataclass(slots=True)
class Ledger:
    """What the pass over the graph writes down.

    ``named`` is scratch: it marks the ids that one rule names, the last entry standing for INERT.
    ``repeated`` holds the ids of axes that repeat their positions for each sample of a batch.
    ``made`` counts the ids of axes that nodes make from numbers.
    """

    named: BoolArray
    left: list[IdArray] = field(default_factory=list)
    right: list[IdArray] = field(default_factory=list)
    frozen: list[tuple[IdArray, int]] = field(default_factory=list)
    reasons: dict[Reason, int] = field(default_factory=dict)
    filters: list[IdArray] = field(default_factory=list)
    consumed: list[IdArray] = field(default_factory=list)
    contracted: list[IdArray] = field(default_factory=list)
    pinned: set[Place] = field(default_factory=set)
    repeated: set[int] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    made: int = 0

    def fresh(self, count: int) -> IdArray:
        """Return new ids, behind those of the constants."""
        first = len(self.named) - 1
        self.named = np.zeros(first + count + 1, bool)
        return np.arange(first, first + count)

    def fresh_made(self, count: int) -> IdArray | None:
        """Return new ids for an axis that a node makes from a number; None where it is too long."""
        if self.made + count > MOST_MADE:
            return None
        self.made += count
        return self.fresh(count)

    @property
    def total(self) -> int:
        """How many ids there are."""
        return len(self.named) - 1

    def freeze(self, ids: IdArray, node: str, text: str) -> None:
        """Note that ids stay, and why."""
        self._hold(ids, Reason(node, str(text), kind_of(text)))

    def _hold(self, ids: IdArray, reason: Reason) -> None:
        ids = ids[ids != INERT]
        if ids.size:
            self.frozen.append((ids, self.number(reason)))

    def number(self, reason: Reason) -> int:
        """Return the number that a reason is noted by."""
        return self.reasons.setdefault(reason, len(self.reasons))

    def tie(self, left: IdArray, right: IdArray, node: Node, met: str) -> None:
        """Note that ids are pairwise one unit; one that meets ``INERT`` stays."""
        stays = (left == INERT) | (right == INERT)
        if not stays.any():
            self.left.append(left)
            self.right.append(right)
            return
        self.left.append(left[~stays])
        self.right.append(right[~stays])
        for own, other in ((left, right), (right, left)):
            self._hold(own[other == INERT], Reason(str(node), met, Kind.MEETS, node.index))

    def hold(self, sizes: Iterable[Size], node: str, text: str) -> None:
        """Keep numbers that turn into data, and the lengths that they depend on."""
        for size in sizes:
            for ids in size.ids:
                self.freeze(ids, node, text)
            if size.source is not None:
                self.pinned.add(size.source)

    def record(self, call: Call, coupling: Coupling, fed: frozenset[str]) -> None:
        """Write down a rule's answer; ``fed`` are the names of the model's inputs."""
        node = str(call.node)
        reads_input = not fed.isdisjoint(call.node.inputs)
        met = MEETS_INPUT if reads_input else MEETS
        for tie in coupling.ties:
            self.tie(tie.left, tie.right, call.node, met)
        for freeze in coupling.frozen:
            self.freeze(freeze.ids, node, freeze.reason)
        self.filters += coupling.filters
        self.consumed += coupling.consumed
        self.contracted += coupling.contracted
        # A position that the rule names nowhere is one it did not think of: it stays.
        named = [ids for axes in coupling.outputs for ids in axes.ids if ids is not None]
        named += [ids for tie in coupling.ties for ids in (tie.left, tie.right)]
        named += [freeze.ids for freeze in coupling.frozen]
        named += coupling.dropped
        # Most axes are handed on as they are: these need no look at their positions.
        whole = {id(ids) for ids in named}
        asked = [
            (position, ids)
            for position, operand in enumerate(call.inputs)
            if operand is not None
            for ids in operand.axes.ids
            if ids is not None and id(ids) not in whole
        ]
        if not asked:
            return
        known = np.concatenate(named) if named else np.empty(0, np.int64)
        self.named[known] = True
        for position, own in asked:
            is_shape = position > 0 and traits_of(call.node).reads_sizes
            text = "" if is_shape else "uses this axis as a whole"
            self.freeze(own[~self.named[own]], node, text)
        self.named[known] = False
