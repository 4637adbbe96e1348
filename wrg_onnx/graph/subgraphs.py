"""Branches and loop bodies: the graphs inside a model, and the model with all of them laid flat."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from wrg_onnx.graph.model import Graph, Node
from wrg_onnx.graph.passages import Passage, passages
from wrg_onnx.graph.weights import Entry

_LONGEST = 200
"""How many characters of the name of a node stand before the names in its bodies."""

Path: TypeAlias = tuple[tuple[int, str], ...]
"""From the main graph inwards: the index of each control-flow node, and the body's attribute."""


@dataclass(frozen=True, slots=True, eq=False)
class Subgraph:
    """One graph of a model: the main one, or a body.

    Attributes:
        graph: Its records.
        path: Where it is; empty for the main graph.
        prefix: What the unique names of its tensors start with.
        first: Added to its nodes' indices, it makes them unique in the model.
        names: The unique name of each tensor that it makes, holds or sees and that is not of the
            main graph: sibling branches may use the same names.
    """

    graph: Graph
    path: Path
    prefix: str
    first: int
    names: Mapping[str, str]

    def unique(self, name: str) -> str:
        """Return the name that a tensor has in the flat graph."""
        return self.names.get(name, name)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a loop's body is fed, and where that comes from.

    Attributes:
        node: The index of the node that runs the body.
        source: The tensor outside that it begins as, or that it is a slice of; ``""`` for iteration
            counts and conditions.
        passage: How it comes from there; None where there is no source.
    """

    node: int
    source: str = ""
    passage: Passage | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A model with its bodies laid out among its nodes, each before the node that runs it.

    Attributes:
        model: The model as it is.
        graph: The nodes and constants of all subgraphs under unique names and indices. A
            control-flow node has no bodies here; it reads what they return behind its own inputs.
        entries: What bodies are fed, by name: states, slices, iteration counts and conditions.
        inside: The tensors that are not of the main graph.
    """

    model: Graph
    graph: Graph
    entries: Mapping[str, Entrance]
    inside: frozenset[str]


def subgraphs(graph: Graph) -> tuple[Subgraph, ...]:
    """List a model's graphs, the main one first, and a body behind those around it."""
    found = [Subgraph(graph, (), "", 0, {})]
    taken, tried = _own_names(graph), dict[str, int]()
    for outer in found:  # grows while it is walked
        for node in outer.graph.nodes:
            for attribute, body in node.attributes.items():
                if not isinstance(body, Graph):
                    continue
                # Each name inside gets it: what is long must not become longer in every body.
                prefix = f"{outer.prefix}{node.name[:_LONGEST]}.{attribute[:_LONGEST]}/"
                names = dict(outer.names)
                for name in sorted(_own_names(body)):
                    names[name] = _free(prefix + name, taken, tried)
                    taken.add(names[name])
                # Behind the highest index so far: the indices of all graphs are then different.
                last = found[-1]
                first = last.first + 1 + max((n.index for n in last.graph.nodes), default=0)
                path = (*outer.path, (node.index, attribute))
                found.append(Subgraph(body, path, prefix, first, names))
    return tuple(found)


def _own_names(graph: Graph) -> set[str]:
    made = {name for node in graph.nodes for name in node.outputs if name}
    return made | set(graph.constants) | {value.name for value in graph.inputs}


def _free(name: str, taken: Collection[str], tried: dict[str, int]) -> str:
    """Return a name that is not taken: this one, with one mark or two, or with a number."""
    found = name
    while found in taken:
        number = tried[name] = tried.get(name, 0) + 1
        found = f"{name}'{number}" if number > 2 else name + "'" * number
    return found


def flatten(graph: Graph) -> Flat:
    """Lay a model's bodies out among its nodes.

    A body's node reads outer tensors as it would in the main graph, so whatever holds for nodes
    holds for it, however often it runs.
    """
    main, *inner = subgraphs(graph)
    # Most models have no bodies, and are flat as they are.
    if not inner:
        return Flat(graph, graph, {}, frozenset())
    constants: dict[str, Entry] = {}
    for subgraph in inner:
        own = subgraph.graph.constants.entries
        constants.update({subgraph.unique(name): entry for name, entry in own.items()})
    nodes = tuple(_laid(main, {subgraph.path: subgraph for subgraph in inner}))
    parts = {part.path: part for part in (main, *inner)}
    runners = {(p.path, node.index): node for p in parts.values() for node in p.graph.nodes}
    entries: dict[str, Entrance] = {}
    for part in inner:
        outer = parts[part.path[:-1]]
        entries |= _entries(part, outer, runners[outer.path, part.path[-1][0]])
    inside = frozenset(s.unique(name) for s in inner for name in _own_names(s.graph))
    flat = replace(graph, nodes=nodes, constants=graph.constants.changed(constants))
    return Flat(graph, flat, entries, inside)


def _entries(inner: Subgraph, outer: Subgraph, node: Node) -> dict[str, Entrance]:
    """Say where what a body is fed comes from."""
    index, _ = inner.path[-1]
    names = [inner.unique(value.name) for value in inner.graph.inputs]
    found = {name: Entrance(outer.first + index) for name in names}
    for passage in passages(node, len(node.inputs)) if names else ():
        if passage.given is not None and passage.fed is not None:
            source = outer.unique(node.inputs[passage.given])
            found[names[passage.fed]] = Entrance(outer.first + index, source, passage)
    return found


def _laid(subgraph: Subgraph, inner: Mapping[Path, Subgraph]) -> Iterator[Node]:
    for node in subgraph.graph.nodes:
        returned: list[str] = []
        for attribute, body in node.attributes.items():
            if isinstance(body, Graph):
                within = inner[*subgraph.path, (node.index, attribute)]
                yield from _laid(within, inner)
                returned += [within.unique(value.name) for value in body.outputs]
        yield replace(
            node,
            index=subgraph.first + node.index,
            inputs=(*(subgraph.unique(name) for name in node.inputs), *returned),
            outputs=tuple(subgraph.unique(name) for name in node.outputs),
            attributes={k: v for k, v in node.attributes.items() if not isinstance(v, Graph)},
        )
