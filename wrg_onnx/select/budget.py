"""Quantities that a removal reduces, counted exactly for any units that stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wrg_onnx.factors import BoolArray, Float64Array, IntArray


class Budget(Protocol):
    """A quantity of a model, such as its parameters, or the milliseconds that it takes.

    Whoever chooses asks no more of it, so that a new one needs no word elsewhere.
    """

    def cost(self, alive: BoolArray) -> float:
        """Return the quantity with only those units left; ``alive`` is (units,) bool."""
        ...

    def savings(self, count: int) -> Float64Array:
        """Return what each unit would save if it alone went, (count,) float64.

        Args:
            count: How many units there are.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """The sum over terms of weight times the product of axis lengths.

    Attributes:
        weights: (terms,) float64.
        factors: (factors,) int64, the term of each factor axis.
        units: (positions,) int64, the unit at each position of all factor axes; negative: stays.
        bounds: (factors + 1,) int64, where each factor's positions start.
    """

    weights: Float64Array
    factors: IntArray
    units: IntArray
    bounds: IntArray

    @classmethod
    def from_terms(cls, terms: Sequence[tuple[float, Sequence[IntArray]]]) -> Products:
        """Pack (weight, unit arrays) pairs into flat arrays."""
        axes = [(number, axis) for number, (_, axes) in enumerate(terms) for axis in axes]
        lengths = [len(axis) for _, axis in axes]
        return cls(
            weights=np.array([weight for weight, _ in terms], np.float64),
            factors=np.array([number for number, _ in axes], np.int64),
            units=np.concatenate([*(axis for _, axis in axes), np.empty(0, np.int64)]),
            bounds=np.cumsum([0, *lengths]),
        )

    @property
    def lengths(self) -> IntArray:
        """(factors,) int64, how long each factor axis is."""
        return np.diff(self.bounds)

    def counts(self, alive: BoolArray) -> IntArray:
        """Return how many positions of each factor axis are left, (factors,) int64."""
        kept = np.append(alive, True)[self.units]
        running = np.concatenate(([0], np.cumsum(kept)))
        return np.asarray(running[self.bounds[1:]] - running[self.bounds[:-1]], np.int64)

    def terms(self, counts: IntArray | Float64Array) -> Float64Array:
        """Return each term, (terms,) float64, with what each factor axis counts as."""
        products = self.weights.copy()
        np.multiply.at(products, self.factors, counts)
        return products

    def cost(self, alive: BoolArray) -> float:
        """Return the sum with only those units left; ``alive`` is (units,) bool."""
        return math.fsum(self.terms(self.counts(alive)))

    def savings(self, count: int) -> Float64Array:
        """Return what each unit would save if it alone went, (count,) float64."""
        return self.shares(count, self.terms(self.lengths))

    def shares(self, count: int, products: Float64Array) -> Float64Array:
        """Return what each unit takes away where a term falls as its axes do.

        Args:
            count: How many units there are.
            products: (terms,) float64, each term with nothing gone.

        Returns:
            (count,) float64.
        """
        lengths = self.lengths
        factor = np.repeat(np.arange(len(lengths)), lengths)
        owned = self.units >= 0
        # Of each pair of a factor and a unit: in how many of the factor's positions the unit is.
        pairs, held = np.unique(factor[owned] * count + self.units[owned], return_counts=True)
        factor, unit = np.divmod(pairs, count)
        # A term that has the unit on several axes, such as input and output, is left with the
        # product of what is left of each. An axis of that unit alone leaves nothing: log 0.
        pairs, place = np.unique(self.factors[factor] * count + unit, return_inverse=True)
        with np.errstate(divide="ignore"):
            logs = np.bincount(place, np.log1p(-held / lengths[factor]), len(pairs))
        term, unit = np.divmod(pairs, count)
        found = np.bincount(unit, -np.expm1(logs) * products[term], count)
        return np.asarray(found, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """A factor axis whose length does not count as it is.

    Attributes:
        units: (positions,) int64, the unit at each position; negative: stays.
        values: (positions + 1,) float64, what 0, 1, ... positions count as: a staircase, where
            kernels round channels up to a block.
    """

    units: IntArray
    values: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The sum over terms of weight times the product of what axis lengths count as.

    Attributes:
        products: The terms, and the units on their axes.
        values: (positions + factors,) float64, the tables of all factor axes, one behind the other.
    """

    products: Products
    values: Float64Array

    @classmethod
    def from_terms(cls, terms: Sequence[tuple[float, Sequence[Axis]]]) -> Measured:
        """Pack (weight, axes) pairs into flat arrays."""
        tables = [axis.values for _, axes in terms for axis in axes]
        return cls(
            Products.from_terms([(weight, [a.units for a in axes]) for weight, axes in terms]),
            np.concatenate([*tables, np.empty(0)]),
        )

    def cost(self, alive: BoolArray) -> float:
        """Return the sum with only those units left; ``alive`` is (units,) bool."""
        return math.fsum(self.products.terms(self._looked_up(self.products.counts(alive))))

    def savings(self, count: int) -> Float64Array:
        """Return each unit's part in what its axes cost, (count,) float64.

        A single unit saves nothing until a step is reached: it is given its share of the step.
        """
        whole = self.products.terms(self._looked_up(self.products.lengths))
        return self.products.shares(count, whole)

    def _looked_up(self, counts: IntArray) -> Float64Array:
        # Each table has an entry for 0, so that those before it moved the start on by one each.
        start = self.products.bounds[:-1] + np.arange(len(counts))
        return self.values[start + counts]
