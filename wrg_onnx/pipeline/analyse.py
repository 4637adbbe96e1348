"""From a model to its units: the part that all commands share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from wrg_onnx.channels import (
    CostTerm,
    Limits,
    Units,
    find_units,
    index_bounds,
    mac_terms,
    parameter_terms,
    random_feeds,
    told_inputs,
    total_cost,
)
from wrg_onnx.channels.limits import meant_by, named_by, names_of
from wrg_onnx.channels.similar import similar_operator
from wrg_onnx.channels.table import find_rule, registered
from wrg_onnx.errors import (
    ModelError,
    UnsupportedOperatorError,
    UsageError,
    WrgError,
    one_line,
)
from wrg_onnx.evaluate.cost import Cost, measure_cost
from wrg_onnx.graph import (
    Array,
    Graph,
    Shape,
    bind_sizes,
    checker_problem,
    draw_feeds,
    fit_to_kernels,
    flatten,
    infer_shapes,
    other_guesses,
    run_once,
    stored_bytes,
)
from wrg_onnx.graph.run_limits import EndlessRunError
from wrg_onnx.latency import CostTable
from wrg_onnx.pipeline.config import BudgetKind, DataOptions
from wrg_onnx.pipeline.decisions import log_units
from wrg_onnx.pipeline.input_shapes import concrete_shapes, preprocessing_for
from wrg_onnx.pipeline.source import Source, read_for
from wrg_onnx.progress import Progress, silent
from wrg_onnx.select import Axis, Budget, Candidates, Measured, Products


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """An analysed model.

    Attributes:
        graph: What was read; its ``name`` is that of the file.
        input_shapes: The concrete shapes that it was analysed at.
        other_shapes: Further shapes that it also runs at; None where the file allows one size only,
            or the model refuses the others.
        units: What can be removed.
        parameters: The terms of its parameter count.
        macs: The terms of its MACs.
        file_bytes: The size of its file; None of a model that was made in this run.
        further: The terms of other quantities, where a run asks for them.
        steps: (groups,) int64, the multiples in which each group is kept, in units; None for 1.
        table: What its layers take on this machine; None where nobody asks.
    """

    graph: Graph
    input_shapes: Mapping[str, Shape]
    other_shapes: Mapping[str, Shape] | None
    units: Units
    parameters: tuple[CostTerm, ...]
    macs: tuple[CostTerm, ...]
    file_bytes: int | None = None
    further: Mapping[BudgetKind, tuple[CostTerm, ...]] = field(default_factory=dict)
    steps: np.ndarray | None = None
    table: CostTable | None = None

    def cost(self, alive: np.ndarray, file_bytes: int | None) -> Cost:
        """Return the cost with only those units left; ``alive`` is (units,) bool."""
        return measure_cost(self.parameters, self.macs, alive, file_bytes)

    def budget(self, kind: BudgetKind) -> Budget:
        """Return the quantity that a ratio speaks of.

        Raises:
            KeyError: If its terms were not asked for.
        """
        counted = {BudgetKind.PARAMS: self.parameters, BudgetKind.MACS: self.macs}
        terms = {**counted, **self.further}[kind]
        if any(term.tables for term in terms):
            return Measured.from_terms([(t.weight, [*map(Axis, t.axes, t.tables)]) for t in terms])
        return Products.from_terms([(term.weight, term.axes) for term in terms])

    def candidates(self, floor: float) -> Candidates:
        """Return what may go, where each layer keeps so much of itself."""
        return Candidates(self.units.removable, self.units.group, floor, steps=self.steps)

    def random_feeds(self, rng: np.random.Generator) -> dict[str, Array]:
        """Draw one input."""
        return random_feeds(self.graph, self.input_shapes, rng)

    @property
    def frozen_share(self) -> float:
        """The share of the parameters that no selection removes."""
        total = total_cost(self.parameters, self.everything)
        return total_cost(self.parameters, ~self.units.removable) / total if total else 0.0

    @property
    def everything(self) -> np.ndarray:
        """(units,) bool, all alive."""
        return np.ones(self.units.count, bool)


def analyse(
    source: Source,
    options: DataOptions,
    limits: Limits | None = None,
    *,
    strict: bool = False,
    progress: Progress = silent,
) -> Model:
    """Read a model and find its units.

    Args:
        source: The model.
        options: Tells the sizes of inputs that leave them open.
        limits: What to leave alone.
        strict: Whether an operator without a rule is an error.
        progress: Told how many nodes were looked at.

    Raises:
        ModelError: If it is not a valid model.
        UnsupportedOperatorError: If ``strict`` and an operator has no rule.
        UsageError: If a limit matches nothing.
    """
    graph = fit_to_kernels(read_for(source, options.values))
    with _unsound(graph):
        return _analyse(graph, options, limits or Limits(), progress, strict=strict)


@contextmanager
def _unsound(graph: Graph) -> Iterator[None]:
    """Say what is wrong with a model that the analysis stumbles over.

    Rules trust nodes to be as their operators have them. Where the checker finds nothing, and ONNX
    Runtime runs the model, the fault is ours.
    """
    try:
        yield
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        problem = checker_problem(graph) or _run_problem(graph)
        if problem is None:
            raise
        raise ModelError(f"'{graph.name}': not a sound model: {problem}") from error


def _run_problem(graph: Graph) -> str | None:
    """Run a model once; return why ONNX Runtime does not, in one line."""
    try:
        shapes = bind_sizes(graph.inputs)
        feeds = draw_feeds(graph, shapes, np.random.default_rng(0))
        run_once(graph, feeds, [value.name for value in graph.outputs])
    except WrgError as error:
        return one_line(str(error).removeprefix(f"'{graph.name}': "))
    return None


def _analyse(
    graph: Graph, options: DataOptions, limits: Limits, progress: Progress, *, strict: bool
) -> Model:
    _check_limits(graph, limits)
    if strict:
        for node in flatten(graph).graph.nodes:
            if find_rule(node) is None:
                known = {entry[:2] for entry in registered()}
                raise UnsupportedOperatorError(
                    f"no rule for {node} (opset {node.version})"
                    f"{similar_operator(node.domain, node.op, known)}: without --strict its "
                    "channels stay whole",
                    op=node.op,
                    node=node.name,
                )
    model = analyse_graph(graph, concrete_shapes(graph, options), limits, progress)
    log_units(model.units)
    return replace(model, file_bytes=stored_bytes(graph))


def analyse_graph(
    graph: Graph,
    shapes: Mapping[str, Shape],
    limits: Limits | None = None,
    progress: Progress = silent,
) -> Model:
    """Find the units of a graph.

    Args:
        graph: The model.
        shapes: The concrete shape of each input.
        limits: What to leave alone; one that matches nothing is no error here.
        progress: Told how many nodes were looked at.
    """
    here = _tensor_shapes(graph, shapes)
    others, elsewhere = _elsewhere(graph, shapes)
    units = find_units(graph, here, limits, elsewhere=elsewhere, progress=progress)
    return Model(graph, shapes, others, units, parameter_terms(units), mac_terms(units))


def _elsewhere(
    graph: Graph, shapes: Mapping[str, Shape]
) -> tuple[dict[str, Shape] | None, dict[str, Shape] | None]:
    """Find other sizes of the inputs, and every tensor's shape there; None where none do."""
    for others in other_guesses(told_inputs(graph), shapes):
        try:
            return others, infer_shapes(graph, others, index_bounds(graph))
        except EndlessRunError:
            break
        except ModelError:
            continue  # not all of its open sizes are free
    return None, None  # every open axis is then held to vary


def _check_limits(graph: Graph, limits: Limits) -> None:
    """Refuse a glob that matches nothing: it is misspelt, and would be silently without effect."""
    names = names_of(flatten(graph).graph)
    for option, globs in (("keep", limits.keep), ("only", limits.only)):
        for glob in globs:
            if not named_by(glob, names):
                folded = " once its constants are computed" if graph.folded else ""
                raise UsageError(
                    f"{option} '{glob}' matches no node or weight of '{graph.name}'{folded}"
                    f"{meant_by(glob, names)}: `wrg-onnx inspect` lists the layers' names"
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
        if preprocessing_for(graph, shapes, DataOptions()) is None:
            way = "--shape NAME=AxB sets others"
        raise ModelError(f"{error}; analysed at {taken}: {way}") from error
