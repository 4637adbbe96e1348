"""From a file to its units: the part that all commands share."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wrg_onnx.channels import (
    CostTerm,
    Limits,
    Units,
    find_units,
    index_bounds,
    mac_terms,
    parameter_terms,
    total_cost,
)
from wrg_onnx.channels.table import find_rule
from wrg_onnx.errors import ModelError, UnsupportedOperatorError, UsageError
from wrg_onnx.evaluate.cost import Cost, measure_cost
from wrg_onnx.graph import (
    Graph,
    Shape,
    bind_sizes,
    fill_inputs,
    flatten,
    infer_shapes,
    load,
    other_sizes,
    stored_bytes,
)
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, check_floor
from wrg_onnx.pipeline.samples import preprocessing_for
from wrg_onnx.report.records import FrozenReport, GroupReport, InspectReport
from wrg_onnx.select import Budget, Candidates, largest_ratio


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """An analysed model.

    Attributes:
        path: Its file.
        graph: What is in it.
        input_shapes: The concrete shapes that it was analysed at.
        other_shapes: Further shapes that it also runs at; None where the file allows one size only,
            or the model refuses the others.
        units: What can be removed.
        parameters: The terms of its parameter count.
        macs: The terms of its MACs.
    """

    path: Path
    graph: Graph
    input_shapes: Mapping[str, Shape]
    other_shapes: Mapping[str, Shape] | None
    units: Units
    parameters: tuple[CostTerm, ...]
    macs: tuple[CostTerm, ...]

    def cost(self, alive: np.ndarray, file_bytes: int | None) -> Cost:
        """Return the cost with only those units left; ``alive`` is (units,) bool."""
        return measure_cost(self.parameters, self.macs, alive, file_bytes)

    def budget(self, kind: BudgetKind) -> Budget:
        """Return the quantity that a ratio speaks of."""
        terms = self.parameters if kind is BudgetKind.PARAMS else self.macs
        return Budget.from_terms([(term.weight, term.axes) for term in terms])

    @property
    def everything(self) -> np.ndarray:
        """(units,) bool, all alive."""
        return np.ones(self.units.count, bool)


def analyse(
    path: Path, options: DataOptions, limits: Limits | None = None, *, strict: bool = False
) -> Model:
    """Load a model and find its units.

    Args:
        path: The file.
        options: Tells the sizes of inputs that leave them open.
        limits: What to leave alone.
        strict: Whether an operator without a rule is an error.

    Raises:
        ModelError: If the file is not a valid model.
        UnsupportedOperatorError: If ``strict`` and an operator has no rule.
        UsageError: If a limit matches nothing.
    """
    graph = fill_inputs(load(path), options.values)
    _check_limits(graph, limits or Limits())
    if strict:
        for node in flatten(graph).graph.nodes:
            if find_rule(node) is None:
                raise UnsupportedOperatorError(
                    f"no rule for {node} (opset {node.version}): without --strict its channels "
                    "stay whole",
                    op=node.op,
                    node=node.name,
                )
    return analyse_graph(graph, path, concrete_shapes(graph, options), limits)


def analyse_graph(
    graph: Graph, path: Path, shapes: Mapping[str, Shape], limits: Limits | None = None
) -> Model:
    """Find the units of a model in memory.

    Args:
        graph: The model.
        path: The file that it comes from.
        shapes: The concrete shape of each input.
        limits: What to leave alone; one that matches nothing is no error here.
    """
    here = _tensor_shapes(graph, shapes)
    others = other_sizes(graph.inputs, shapes)
    elsewhere: dict[str, Shape] | None = None
    if others is not None:
        try:
            elsewhere = infer_shapes(graph, others, index_bounds(graph))
        except ModelError:
            others = None  # its open sizes are not free: every open axis is then held to vary
    units = find_units(graph, here, limits, elsewhere=elsewhere)
    return Model(path, graph, shapes, others, units, parameter_terms(units), mac_terms(units))


def _check_limits(graph: Graph, limits: Limits) -> None:
    """Refuse a glob that matches nothing: it is misspelt, and would be silently without effect."""
    flat = flatten(graph).graph
    names = [node.name for node in flat.nodes] + list(flat.constants)
    for option, globs in (("--keep", limits.keep), ("--only", limits.only)):
        for glob in globs:
            if not fnmatch.filter(names, glob):
                raise UsageError(
                    f"{option} '{glob}' matches no node or weight of '{graph.name}': "
                    "`wrg-onnx inspect` lists the layers' names"
                )


def _tensor_shapes(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Find every tensor's shape; where the model leaves sizes open, an error says which we took."""
    try:
        return infer_shapes(graph, shapes, index_bounds(graph))
    except ModelError as error:
        sizes = [d for v in graph.inputs for d in (v.shape or ())[1:] if not isinstance(d, int)]
        if not sizes:
            raise
        taken = ", ".join(f"'{k}' {'x'.join(map(str, v)) or 'scalar'}" for k, v in shapes.items())
        way = "--size sets another"
        if preprocessing_for(graph, DataOptions()) is None:
            way = "--shape NAME=AxB sets others"
        raise ModelError(f"{error}; analysed at {taken}: {way}") from error


def concrete_shapes(graph: Graph, options: DataOptions) -> dict[str, Shape]:
    """Return the shape of each input that images, or the defaults, give it."""
    shapes = bind_sizes(graph.inputs, given=options.shapes)
    preprocessing = preprocessing_for(graph, options)
    if preprocessing is not None:
        sides = (preprocessing.height, preprocessing.width)
        batch = shapes[preprocessing.input][0]
        chw = (preprocessing.channels, *sides)
        hwc = (*sides, preprocessing.channels)
        shapes[preprocessing.input] = (batch, *(chw if preprocessing.layout == "NCHW" else hwc))
    return shapes


def inspect(
    path: Path, options: DataOptions, limits: Limits, *, floor: float, strict: bool = False
) -> InspectReport:
    """Find out what can be cut, and what stays and why.

    Args:
        path: The model.
        options: Tells the size of an image input that leaves it open.
        limits: What to leave alone.
        floor: Share of each layer width that stays at least.
        strict: Whether an operator without a rule is an error.

    Raises:
        WrgError: One of its kinds.
    """
    check_floor(floor)
    model = analyse(path, options, limits, strict=strict)
    units = model.units
    candidates = Candidates(units.removable, units.group, floor)
    choices = {
        analysed.call.node.name: analysed.choice
        for analysed in units.nodes.values()
        if analysed.choice
    }
    total = total_cost(model.parameters, model.everything)
    frozen = total_cost(model.parameters, ~units.removable)
    return InspectReport(
        model=str(path),
        cost=model.cost(model.everything, stored_bytes(path, model.graph)),
        groups=group_reports(model, model.everything),
        frozen=frozen_reports(model),
        frozen_share=frozen / total if total else 0.0,
        largest_ratio=largest_ratio(candidates, model.budget(BudgetKind.PARAMS)),
        choices=choices,
        sizes=dict(model.input_shapes),
    )


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
