"""Find out what can be cut, and what stays and why."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels import Limits, total_cost
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, check_floor
from wrg_onnx.pipeline.result import Result
from wrg_onnx.pipeline.source import Source
from wrg_onnx.report.records import FrozenReport, GroupReport, InspectReport
from wrg_onnx.select import Candidates, largest_ratio


def inspect(
    source: Source, options: DataOptions, limits: Limits, *, floor: float, strict: bool = False
) -> Result[InspectReport]:
    """Find out what can be cut, and what stays and why.

    Args:
        source: The model.
        options: Tells the size of an image input that leaves it open.
        limits: What to leave alone.
        floor: Share of each layer width that stays at least.
        strict: Whether an operator without a rule is an error.

    Raises:
        WrgError: One of its kinds.
    """
    check_floor(floor)
    model = analyse(source, options, limits, strict=strict)
    units = model.units
    candidates = Candidates(units.removable, units.group, floor)
    choices = {
        analysed.call.node.name: analysed.choice
        for analysed in units.nodes.values()
        if analysed.choice
    }
    total = total_cost(model.parameters, model.everything)
    frozen = total_cost(model.parameters, ~units.removable)
    report = InspectReport(
        model=model.graph.name,
        cost=model.cost(model.everything, model.file_bytes),
        groups=group_reports(model, model.everything),
        frozen=frozen_reports(model),
        frozen_share=frozen / total if total else 0.0,
        largest_ratio=largest_ratio(candidates, model.budget(BudgetKind.PARAMS)),
        choices=choices,
        sizes=dict(model.input_shapes),
    )
    return Result(report)


def group_reports(model: Model, alive: np.ndarray) -> tuple[GroupReport, ...]:
    """List the layer widths that may shrink, in the order of the file's constants."""
    units = model.units
    held = _parameters_per_unit(model)
    first = {int(g): int(u) for u, g in reversed(list(enumerate(units.group)))}
    slots: dict[int, list[str]] = {}
    makers: dict[int, str] = {}
    for slot in units.slots:
        for group in np.unique(units.group[units.slot_units(slot)]):
            slots.setdefault(int(group), []).append(slot.name)
            if units.is_filter[slot.offset]:
                makers.setdefault(int(group), slot.name)
    sizes = np.bincount(units.group)
    kept = np.bincount(units.group, weights=alive)
    free = np.bincount(units.group, weights=units.removable)
    return tuple(
        GroupReport(
            name=makers.get(group, slots[group][0]),
            units=int(sizes[group]),
            kept=int(kept[group]),
            removable=int(free[group]),
            parameters=round(held[first[group]]),
            members=len(slots[group]),
        )
        for group in sorted(slots, key=lambda g: first[g])
        if free[group]
    )


def frozen_reports(model: Model) -> tuple[FrozenReport, ...]:
    """List the reasons why units stay, with the parameters in the slices they hold."""
    units = model.units
    total = total_cost(model.parameters, model.everything)
    held: dict[str, list[int]] = {}
    for unit in np.flatnonzero(~units.removable):
        reason = units.reasons[units.reason[unit]]
        if reason.text:
            held.setdefault(str(reason), []).append(int(unit))
    rows = []
    for reason, members in held.items():
        others = model.everything
        others[members] = False
        parameters = total - total_cost(model.parameters, others)
        share = parameters / total if total else 0.0
        rows.append(FrozenReport(reason, len(members), round(parameters), share))
    return tuple(sorted(rows, key=lambda row: (-row.parameters, row.reason)))


def _parameters_per_unit(model: Model) -> np.ndarray:
    """Count the parameters in the rows and columns of each unit; overlaps count for each."""
    held = np.zeros(model.units.count)
    for term in model.parameters:
        lengths = [len(axis) for axis in term.axes]
        size = term.weight * float(np.prod(lengths))
        for axis, length in zip(term.axes, lengths, strict=True):
            np.add.at(held, axis, size / length)
    return held
