"""The order in which units can go so that what is left makes up for them: structured OBS, greedy.

A layer computes W x. Without the inputs J the best that is left is another W, which least squares
finds; the mean square error of the layer's output is then at least

    e_J = tr( W_J [ (H^-1)_JJ ]^-1 W_J' ),        H = C + n diag(C) + p I,        C = Cov(x),

and the weights that reach it are W - W_J [(H^-1)_JJ]^-1 (H^-1)_J: . A unit costs the sum of e_J
over the layers that consume it, each over the variance of that layer's output, so that layers
compare. After each removal W and H^-1 are those of the layer without it, so the next cost is what
is lost on top, after everything was repaired. No label and no gradient is needed.

What a layer reads will be off, since units before it go, too. n diag(C) is the covariance of errors
that are independent of each other and of x: with it no channel is made up for by a small difference
of others, which such errors would drown.

Between groups of units costs compare badly, since how much an error of one layer matters at the
output is not known. So they are brought half of the way to where all groups cost the same: each is
divided by the root of what is typical of its group. And what saves much may cost more: each is
divided by the root of what the unit saves of the budget.

In the words of SEL: W is in W_J; R, whether other channels say the same, is in (H^-1)_JJ, which is
large where they do; G would weigh the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wrg_onnx.factors import BoolArray, Consumer, Float64Array, IntArray
from wrg_onnx.select.choose import Candidates, spare_units
from wrg_onnx.select.ridged_inverse import WIDE, FloatArray, RidgedInverse
from wrg_onnx.select.scaling import typical

PENALTY = 1e-3
"""p, times the mean variance of the inputs: what ridge most often takes."""

NOISE = 0.03
"""n: what a layer reads will be off by such a share of its variance, once those before are cut."""

STEPS = 512
"""In about how many steps all candidates go; of more units several go at a time."""

FEWEST_STEPS = 64
MOST_BYTES = 128 << 30
"""Each step passes over the inverses: where these are large, fewer steps are made."""


@dataclass(frozen=True, slots=True, eq=False)
class RepairOrder:
    """In which order units can go.

    Attributes:
        values: (units,) float64, higher = keep: the place in the order, and behind all of it for
            what must stay.
        unmeasured: (units,) bool, units that no measured layer consumes.
    """

    values: Float64Array
    unmeasured: BoolArray


def repair_order(
    consumers: Sequence[Consumer],
    candidates: Candidates,
    worth: Float64Array | None = None,
    savings: Float64Array | None = None,
) -> RepairOrder:
    """Order units by what remains lost after the rest has made up for them.

    Args:
        consumers: The layers that consume units.
        candidates: The units to choose from; each group keeps its floor.
        worth: (units,) float64, not negative: multiplies the costs, such as SEL does; None for 1.
        savings: (units,) float64, what each unit saves of the budget; None for 1.

    Returns:
        The order. A unit that nothing consumes goes last: its removal is not known to be free.

    Source: the cost and the update are those of Optimal Brain Surgeon for groups of columns,
    Hassibi and Stork, NIPS 1992; as structured pruning Kurtic et al., "ZipLM", NeurIPS 2023,
    arXiv:2302.04089, and Meng et al., "OSSCAR", ICML 2024, arXiv:2403.12983. The sum over all
    consumers, each over its variance, and how groups compare are ours.
    """
    count = len(candidates.removable)
    layers = [_Layer.of(consumer) for consumer in consumers]
    measured = np.zeros(count, bool)
    for consumer in consumers:
        if consumer.gram is not None:
            measured[consumer.inputs[consumer.inputs >= 0]] = True
    alive = np.ones(count, bool)
    left = spare_units(candidates)
    place = np.full(count, np.inf)
    at = 0
    costs = [layer.costs() for layer in layers]
    # The removal of what no layer names is not known to be free: it goes last.
    named = np.zeros(count, bool)
    for units, _ in costs:
        named[units] = True
    factor = _factors(np.where(named, _sum(costs, count), np.nan), candidates, worth, savings)
    touching = _touching(consumers)
    open_ = candidates.removable & (left[candidates.group] > 0)
    size = sum(consumer.gram.nbytes for consumer in consumers if consumer.gram is not None)
    steps = max(FEWEST_STEPS, min(STEPS, MOST_BYTES // max(1, size)))
    step = max(1, int(open_.sum()) // steps)
    while open_.any():
        total = np.where(named, _sum(costs, count) * factor, np.inf)
        order = np.argsort(total, kind="stable")
        chosen = order[open_[order]][:step]
        touched: set[int] = set()
        for unit in chosen:
            if not left[candidates.group[unit]]:
                continue
            place[unit], alive[unit] = at, False
            left[candidates.group[unit]] -= 1
            at += 1
            touched.update(touching.get(int(unit), ()))
        gone = np.append(~alive, False)  # positions without a unit, at -1, stay
        for number in sorted(touched):
            if layers[number].remove(gone):
                costs[number] = layers[number].costs()
        open_ = candidates.removable & alive & (left[candidates.group] > 0)
    return RepairOrder(np.where(np.isinf(place), float(at), place), ~measured)


def _sum(costs: Sequence[tuple[IntArray, Float64Array]], count: int) -> Float64Array:
    """Add up what each unit costs in each layer; 0 for one that no layer names."""
    total = np.zeros(count)
    for units, values in costs:
        total[units] += values  # a layer names each unit once
    return total


def _touching(consumers: Sequence[Consumer]) -> dict[int, list[int]]:
    """Return of each unit the numbers of the layers that read or make it."""
    found: dict[int, list[int]] = {}
    for number, consumer in enumerate(consumers):
        for unit in np.unique(np.concatenate([consumer.inputs, consumer.outputs])):
            if unit >= 0:
                found.setdefault(int(unit), []).append(number)
    return found


def _factors(
    costs: Float64Array,
    candidates: Candidates,
    worth: Float64Array | None,
    savings: Float64Array | None,
) -> Float64Array:
    """Return what multiplies costs so that units of all groups compare.

    A cost c, its worth included, becomes d = c / sqrt(saving), and that d / sqrt(typical d), which
    is the geometric mean of d and of d over what is typical of its group.

    Args:
        costs: (units,) float64, as they are at first; NaN for what no layer names.
        candidates: The units, their groups, and which may go.
        worth: (units,) float64; None for 1.
        savings: (units,) float64; None for 1.

    Returns:
        (units,) float64.
    """
    factor = np.ones(len(costs)) if worth is None else worth.copy()
    if savings is not None:
        factor /= np.sqrt(np.where(savings > 0, savings, savings.max(initial=1.0)))
    for group in np.unique(candidates.group[candidates.removable]):
        members = candidates.group == group
        own = members & candidates.removable & ~np.isnan(costs)
        factor[members] /= math.sqrt(typical(costs[own] * factor[own]) or 1.0)
    return factor


class _Layer:
    """A consumer whose columns go, and whose weights are those that make up for them.

    Columns and outputs that are gone are cut out once a quarter of them is: to copy (D, D) numbers
    at each removal would take longer than the removal.
    """

    def __init__(self, consumer: Consumer, variance: float) -> None:
        self.variance = variance
        self._inputs, self._outputs = consumer.inputs, consumer.outputs.copy()
        self._is_dead = np.zeros(len(self._outputs), bool)
        self._live = np.ones(len(consumer.inputs), bool)
        self._stacks: tuple[IntArray, list[tuple[IntArray, IntArray]]] | None = None
        self._inverse: RidgedInverse | None = None
        if consumer.gram is not None:
            variances = consumer.gram.diagonal()
            added = NOISE * variances + PENALTY * (float(variances.mean()) or 1.0)
            self._inverse = RidgedInverse(consumer.gram, added, consumer.rows)
        # (D, M); where that is large, a number may be rounded as those of the inverse are.
        is_wide = len(consumer.inputs) >= WIDE
        dtype: type[np.floating[Any]] = np.float32 if is_wide else np.float64
        self._columns: FloatArray = consumer.weight.T.astype(dtype, order="C")

    @classmethod
    def of(cls, consumer: Consumer) -> _Layer:
        weight, gram = consumer.weight, consumer.gram
        if gram is None:
            return cls(consumer, float(np.square(weight).sum()))
        if len(gram) >= WIDE:  # tr(W C W') = tr(W' W C), of which numpy makes half (syrk)
            weight = weight.astype(np.float32)
            return cls(consumer, float(np.einsum("de,de->", weight.T @ weight, gram)))
        return cls(consumer, float(np.einsum("md,md->", weight @ gram, weight)))

    def costs(self) -> tuple[IntArray, Float64Array]:
        """Return the units that it still reads, and what each costs it.

        Of the D columns, those of one unit are a block of k:
            W_J (M, k), (H^-1)_JJ (k, k)  ->  tr( W_J' W_J [(H^-1)_JJ]^-1 ).
        Blocks of one size are stacked, so that numpy inverts all of them at a time.
        """
        units, stacks = self._stacks = self._stacks or self._stacked()
        values = np.zeros(len(units))
        for which, blocks in stacks:
            parts = self._columns[blocks]  # (n, k, M)
            if self._inverse is None:
                values[which] = np.square(parts).sum(axis=(1, 2))
            elif blocks.shape[1] == 1:
                values[which] = np.square(parts[:, 0]).sum(axis=1)
                values[which] /= self._inverse.blocks(blocks)[:, 0, 0]
            else:
                inner = np.linalg.inv(self._inverse.blocks(blocks))
                products = parts @ parts.transpose(0, 2, 1)
                values[which] = np.einsum("nkl,nlk->n", inner, products)
        # What makes nothing loses nothing: to feed a dead layer costs nothing.
        return units, values / self.variance if self.variance > 0 else np.zeros(len(units))

    def _stacked(self) -> tuple[IntArray, list[tuple[IntArray, IntArray]]]:
        """Return the units that it reads, ascending, and stacks of those with as many columns.

        Returns:
            (units,), and of each stack (n,) which of these are in it and (n, k) their columns.
        """
        read = np.flatnonzero(self._live & (self._inputs >= 0))
        order = read[np.argsort(self._inputs[read], kind="stable")]
        of = self._inputs[order]
        begins = np.ones(len(of), bool)
        begins[1:] = of[1:] != of[:-1]
        first = np.flatnonzero(begins)
        sizes = np.bincount(np.cumsum(begins) - 1, minlength=len(first))
        stacks = []
        for size in sorted({*sizes.tolist()}):
            which = np.flatnonzero(sizes == size)
            stacks.append((which, order[first[which][:, None] + np.arange(size)]))
        return of[first], stacks

    def remove(self, gone: BoolArray) -> bool:
        """Take columns and rows of units away that are gone; tell whether there were any.

        W <- W - W_J [(H^-1)_JJ]^-1 (H^-1)_J: and H^-1 is downdated.

        Args:
            gone: (units + 1,) bool; the last entry, False, is for positions without a unit.
        """
        lost = np.flatnonzero(self._live & gone[self._inputs])
        dead = gone[self._outputs]
        if not len(lost) and not dead.any():
            return False
        if dead.any():
            self._drop(dead)
        if not len(lost):
            return True
        if self._inverse is not None:
            half, factor = self._inverse.remove(lost)
            self._columns -= half.T @ np.linalg.solve(factor, self._columns[lost])
        self._live[lost] = False
        self._stacks = None
        if 4 * int(self._live.sum()) <= 3 * len(self._live):
            stay = np.flatnonzero(self._live)
            self._columns, self._inputs = self._columns[stay], self._inputs[stay]
            self._live = np.ones(len(stay), bool)
            if self._inverse is not None:
                self._inverse.keep(stay)
        return True

    def _drop(self, dead: BoolArray) -> None:
        """Forget outputs; what is zero costs nothing, and is cut out once it is a quarter."""
        self._columns[:, dead] = 0
        self._outputs[dead] = -1
        self._is_dead |= dead
        if 4 * int(self._is_dead.sum()) >= len(dead):
            stay = np.flatnonzero(~self._is_dead)
            self._columns, self._outputs = self._columns[:, stay], self._outputs[stay]
            self._is_dead = np.zeros(len(stay), bool)
