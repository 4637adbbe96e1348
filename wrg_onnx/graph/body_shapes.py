"""Shapes inside branches and loop bodies, seen in a run.

Each body runs as a model of its own on the values that it would see: so a branch that the condition
does not take is seen as well. The body of a loop runs twice, for what differs between two
iterations has no one shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.errors import DataError, ModelError
from wrg_onnx.graph.edit import body
from wrg_onnx.graph.message import NUMBERS, fill
from wrg_onnx.graph.model import Array, Graph, Node, Shape, captured, read_outside
from wrg_onnx.graph.passages import Passage, passages
from wrg_onnx.graph.records import LARGE_COUNT, Source
from wrg_onnx.graph.run_limits import EndlessRunError
from wrg_onnx.graph.session import Session, open_session, start_session
from wrg_onnx.graph.subgraphs import Path, Subgraph, subgraphs

Values: TypeAlias = Mapping[str, Any]
"""What is seen in a graph by name, that of the graphs around it included: arrays and sequences."""


@dataclass(frozen=True, slots=True, eq=False)
class _Bodies:
    """The bodies of a model that are looked into.

    Attributes:
        graph: The model.
        chosen: Those bodies, by where they are.
        known: The shapes that need not be seen, by the names of the flat graph.
    """

    graph: Graph
    chosen: Mapping[Path, Subgraph]
    known: Mapping[str, Shape]

    def of(self, outer: Subgraph) -> Iterator[tuple[Node, Subgraph]]:
        """Yield those that a graph's own nodes run."""
        for node in outer.graph.nodes:
            for attribute in node.attributes:
                inner = self.chosen.get((*outer.path, (node.index, attribute)))
                if inner is not None:
                    yield node, inner

    def needed(self, outer: Subgraph) -> set[str]:
        """Return what must be seen in a graph to run the bodies of its nodes."""
        nodes = [node for node, _ in self.of(outer)]
        return {name for node in nodes for name in (*node.inputs, *captured(node))} - {""}


def observe_bodies(
    graph: Graph, known: Mapping[str, Shape], draw: Callable[[], Mapping[str, Array]]
) -> dict[str, Shape]:
    """Run the bodies that hold a tensor of unknown shape, and look.

    Args:
        graph: The model.
        known: The shapes that are known, by the names of the flat graph.
        draw: Draws what the inputs are fed.

    Returns:
        Shapes by the names of the flat graph. Those of a body that ONNX Runtime does not run on
        these values, and those that are others in the second iteration, are not among them: the
        analysis says of what stands there that its shapes are not known.
    """
    main, *inner = subgraphs(graph)
    open_ = [one.path for one in inner if any(one.unique(n) not in known for n in _made(one))]
    # A body runs inside those around it.
    around = {path[:depth] for path in open_ for depth in range(1, len(path) + 1)}
    if not around:
        return {}
    bodies = _Bodies(graph, {one.path: one for one in inner if one.path in around}, known)
    values: dict[str, Any] = dict(draw())
    wanted = sorted(bodies.needed(main) - set(graph.constants) - values.keys())
    if wanted:
        try:
            values |= open_session(graph, outputs=wanted, exact=True).run(values)
        except EndlessRunError:
            raise
        except (ModelError, DataError):
            return {}
    return _look_into(bodies, main, {**_constants(main, bodies.needed(main)), **values})


def _made(subgraph: Subgraph) -> list[str]:
    """Return what a body is fed and makes."""
    fed = [value.name for value in subgraph.graph.inputs]
    return fed + [name for node in subgraph.graph.nodes for name in node.outputs if name]


def _constants(subgraph: Subgraph, names: set[str]) -> dict[str, Array]:
    held = subgraph.graph.constants
    return {name: held[name] for name in names if name in held}


def _look_into(bodies: _Bodies, outer: Subgraph, values: Values) -> dict[str, Shape]:
    """Run the bodies of a graph's own nodes."""
    found: dict[str, Shape] = {}
    for node, inner in bodies.of(outer):
        try:
            found.update(_run_body(bodies, node, inner, values))
        except EndlessRunError:
            raise
        except (ModelError, DataError):
            continue  # it is not for these sizes
    return found


def _run_body(bodies: _Bodies, node: Node, inner: Subgraph, outside: Values) -> dict[str, Shape]:
    """Run a branch once, or two iterations of a loop; return the shapes that stay the same."""
    read = {name: outside.get(name) for name in read_outside(inner.graph)}
    fed = _feeds(node, inner.graph, outside)
    if not _are_arrays(read) or not _are_arrays(fed):
        return {}  # a sequence, or what a body around it did not get to
    made = {name for other in inner.graph.nodes for name in other.outputs if name}
    returned = {value.name for value in inner.graph.outputs} if fed else set()
    needed = bodies.needed(inner) | returned
    wanted = {name for name in made if inner.unique(name) not in bodies.known} | (made & needed)
    session, lent = _open(bodies.graph, inner, fed, read, sorted(wanted))
    seen = {**outside, **_constants(inner, needed)}

    def iterate(fed: Values) -> dict[str, Any]:
        return {**seen, **fed, **session.run({**fed, **lent})}

    def shapes(values: Values) -> dict[str, Shape]:
        own = {inner.unique(name): np.shape(values[name]) for name in {*fed, *wanted}}
        return {**own, **_look_into(bodies, inner, values)}

    values = iterate(fed)
    found = shapes(values)
    if not fed:
        return found
    following = _feeds(node, inner.graph, outside, after=values)
    again = shapes(iterate(following)) if _are_arrays(following) else {}
    return {name: shape for name, shape in found.items() if again.get(name) == shape}


def _are_arrays(values: Values) -> bool:
    return all(isinstance(value, np.ndarray) for value in values.values())


def _feeds(
    node: Node, inner: Graph, outside: Values, *, after: Values | None = None
) -> dict[str, Any]:
    """Return what a body is fed in its first iteration, or in the one after that.

    Args:
        node: The node that runs it.
        inner: The body.
        outside: What is seen around it.
        after: What was seen in the first iteration.

    Returns:
        An array by input, None where that cannot be told; nothing for a branch.
    """
    fed: dict[str, Any] = {}
    names = [value.name for value in inner.inputs]
    step = int(after is not None)
    if node.op == "Loop":
        fed = {names[0]: np.array(step), names[1]: np.array(True)}
    for passage in passages(node, len(node.inputs)) if names else ():
        if passage.given is None or passage.fed is None:
            continue
        if passage.returned is not None and after is not None:
            fed[names[passage.fed]] = after.get(inner.outputs[passage.returned].name)
            continue
        value = outside.get(node.inputs[passage.given])
        found = _slice(value, passage, step) if isinstance(value, np.ndarray) else None
        fed[names[passage.fed]] = found
    return fed


def _slice(value: Array, passage: Passage, step: int) -> Array | None:
    """Take what an iteration gets of a sequence, or of a state with a batch."""
    axes = passage.outside(value.ndim)
    if axes is None or any(not value.shape[axis] for axis in axes):
        return None
    for axis in reversed(axes):  # the last one is scanned, one before it is a batch
        is_scanned = axis == axes[-1] and not passage.is_state
        value = np.asarray(value.take(step % value.shape[axis] if is_scanned else 0, axis))
    return value


def _open(
    graph: Graph, inner: Subgraph, fed: Values, read: Values, wanted: list[str]
) -> tuple[Session, dict[str, Array]]:
    """Make a session of a body alone; return it, and what it must be fed of what it reads outside.

    Small arrays are constants of it: some operators want their sizes so.
    """
    source: Source = graph.source
    message: onnx.ModelProto = source.message
    written = body(message.graph, inner)
    model = onnx.ModelProto(ir_version=message.ir_version, opset_import=message.opset_import)
    part = model.graph
    part.name = "body"
    part.node.extend(written.node)
    part.initializer.extend(written.initializer)
    fill(part, source.weights)
    lent = {
        name: v for name, v in read.items() if v.size >= LARGE_COUNT and v.dtype.kind in NUMBERS
    }
    for name in sorted(read.keys() - lent.keys()):
        part.initializer.append(numpy_helper.from_array(read[name], name))
    for name, value in {**fed, **lent}.items():
        dtype = helper.np_dtype_to_tensor_dtype(value.dtype)
        part.input.append(helper.make_tensor_value_info(name, dtype, None))
    part.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    label = f"{graph.name}, {inner.prefix}"
    session = start_session(model, {}, tuple(wanted), label, exact=True, widened=graph.widened)
    return session, lent
