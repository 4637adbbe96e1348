"""Each layer width of a run with the numbers of its units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels import BoolArray, CostTerm, IdArray, Units, find_holds
from wrg_onnx.factors import GRADIENT, RANK, WEIGHT, Factor, Float64Array, Statistics
from wrg_onnx.report.details import (
    MOST_LAYERS,
    MOST_NUMBERS,
    MOST_PLOTTED,
    MOST_UNITS,
    QUANTILES,
    LayerDetail,
    UnitNumbers,
)
from wrg_onnx.report.small import known, rounded, short_text
from wrg_onnx.report.widths import Width, parameters_per_unit, widths_in_order
from wrg_onnx.select import Scores, per_unit


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What a run found of the units of its model, and what became of them.

    Attributes:
        units: The units of the original.
        parameters: The terms of its parameter count.
        alive: (units,) bool, those that are left.
        origin: (units of the last round's model,) int64, which unit of the original each is;
            negative where that is not known.
        scores: Of the units of the last round's model.
        statistics: What was measured of it.
    """

    units: Units
    parameters: Sequence[CostTerm]
    alive: BoolArray
    origin: IdArray
    scores: Scores
    statistics: Statistics


def layer_details(choice: Choice) -> tuple[tuple[LayerDetail, ...], int]:
    """List the layer widths, with as many numbers of their units as are small enough together.

    Returns:
        Those that are listed, in the order in which the model computes them, and how many are not.
    """
    units = choice.units
    widths = widths_in_order(units)
    held = parameters_per_unit(units, choice.parameters)
    totals = np.bincount(units.group, weights=held).astype(np.float64)
    listed = _largest(widths, totals, MOST_LAYERS)
    shrinking = [one for one in listed if units.removable[one.members].any()]
    numbers = _numbers(choice, _largest(shrinking, totals, MOST_PLOTTED))
    none, reasons = _Numbers(), _reasons(units)
    rows = tuple(
        LayerDetail(
            name=short_text(width.title),
            units=len(width.members),
            kept=int(choice.alive[width.members].sum()),
            removable=int(units.removable[width.members].sum()),
            parameters=round(held[width.members[0]]),
            frozen=short_text(_most_common(reasons, width.members)),
            scores=own.scores,
            w=own.w,
            r=own.r,
            g=own.g,
            alive=own.alive,
        )
        for width in listed
        for own in [numbers.get(width.group, none)]
    )
    return rows, len(widths) - len(listed)


def _largest(widths: Sequence[Width], totals: Float64Array, most: int) -> list[Width]:
    """Return the widths that hold most parameters, in their own order."""
    order = np.argsort([-totals[width.group] for width in widths], kind="stable")
    return [widths[place] for place in sorted(order[:most])]


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The fields of a layer that have a number, or several, of each unit."""

    scores: UnitNumbers | None = None
    w: UnitNumbers | None = None
    r: UnitNumbers | None = None
    g: UnitNumbers | None = None
    alive: tuple[bool, ...] = ()


def _numbers(choice: Choice, widths: Sequence[Width]) -> Mapping[int, _Numbers]:
    """Return the numbers of layer widths by group: of narrow ones those of each unit."""
    scores = _of_original(choice, choice.scores.values)
    w, r, g = (_of_factor(choice, factor) for factor in (WEIGHT, RANK, GRADIENT))
    # A unit has so many numbers, and whether it is alive.
    each = 2 + sum(values is not None for values in (w, r, g))
    left = MOST_NUMBERS
    found: dict[int, _Numbers] = {}
    for width in sorted(widths, key=lambda one: len(one.members)):
        cost = each * len(width.members)
        is_listed = len(width.members) <= MOST_UNITS and cost <= left
        left -= cost if is_listed else 0
        alive = choice.alive[width.members]
        own_scores, own_w, own_r, own_g = (
            None if values is None else _values(values[width.members], alive, is_listed=is_listed)
            for values in (scores, w, r, g)
        )
        found[width.group] = _Numbers(
            own_scores, own_w, own_r, own_g, alive=tuple(alive.tolist()) if is_listed else ()
        )
    return found


def _values(values: Float64Array, alive: BoolArray, *, is_listed: bool) -> UnitNumbers:
    if is_listed:
        return UnitNumbers(each=known(values))
    return UnitNumbers(kept=_quantiles(values[alive]), removed=_quantiles(values[~alive]))


def _of_factor(choice: Choice, factor: Factor) -> Float64Array | None:
    """Return a factor of each unit of the original; None where it was not measured."""
    layers = choice.statistics.of(factor)
    if not layers:
        return None
    found = per_unit(layers, len(choice.origin))
    return _of_original(choice, np.where(found.measured, found.values, np.nan))


def _of_original(choice: Choice, values: Float64Array) -> Float64Array:
    """Return numbers of the last round's units by those of the original, NaN for the others."""
    found = np.full(choice.units.count, np.nan)
    is_known = choice.origin >= 0
    found[choice.origin[is_known]] = values[is_known]
    return found


def _quantiles(values: Float64Array) -> tuple[float, ...]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ()
    return tuple(rounded(value) for value in np.quantile(finite, QUANTILES))


def _reasons(units: Units) -> Mapping[int, str]:
    """Return of each unit that stays the first decision that holds it."""
    found: dict[int, str] = {}
    for hold in find_holds(units):
        text = f"{hold.root.node} {hold.root.text}"
        for unit in hold.units.tolist():
            found.setdefault(unit, text)
    return found


def _most_common(reasons: Mapping[int, str], members: IdArray) -> str:
    """Return what holds most of some units; empty if nothing holds any."""
    texts = Counter(reasons[unit] for unit in members.tolist() if unit in reasons)
    return texts.most_common(1)[0][0] if texts else ""
