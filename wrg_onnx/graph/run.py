"""One run of a graph, as it is written; of a large one part by part, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wrg_onnx.graph.message import NUMBERS, element_types
from wrg_onnx.graph.model import Array, Graph, Node, captured
from wrg_onnx.graph.part_sessions import PartSessions
from wrg_onnx.graph.session import open_session
from wrg_onnx.graph.weights import is_bfloat16

WHOLE_BYTES = 256 << 20
"""Weights below this are all in memory for a run."""

PART_BYTES = 64 << 20
"""How many bytes of weights a part has at most; a layer that has more is a part of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Nodes that run together.

    Attributes:
        nodes: The nodes, in the order of the graph.
        inputs: What those of them that are needed read of what is fed, or made before.
        outputs: What they make for nodes behind them, or for the caller.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def run_once(
    graph: Graph, feeds: Mapping[str, Array], outputs: Sequence[str], *, exact: bool = True
) -> dict[str, Array]:
    """Run a graph on the CPU.

    Args:
        graph: The model. Where its weights have more than ``WHOLE_BYTES``, the parts that
            ``divide`` gives are run one after another, and each has its own weights in memory.
        feeds: The inputs by name.
        outputs: The tensors to return, intermediate ones included.
        exact: As for ``open_session``.

    Returns:
        The outputs by name.

    Raises:
        ModelError: If ONNX Runtime refuses the model.
        DataError: If it fails on the feeds.
    """
    parts = divide(graph, outputs)
    if len(parts) > 1:
        found = _run_parts(graph, parts, feeds, outputs, exact=exact)
        if found is not None:
            return found
    return open_session(graph, outputs=outputs, exact=exact).run(feeds)


def divide(graph: Graph, outputs: Sequence[str]) -> tuple[Part, ...]:
    """Divide a graph into parts that run one after another.

    Args:
        graph: The model.
        outputs: The tensors that are wanted of it.

    Returns:
        One part for a graph whose weights may all be in memory; else as many as it takes for each
        to have ``PART_BYTES`` of weights, or one layer. What goes from one to the next is of types
        that numpy has.
    """
    sizes = {name: form.nbytes for name, form in graph.constants.forms.items()}
    if sum(sizes.values()) <= WHOLE_BYTES:
        return tuple(_joined(graph, [list(graph.nodes)], outputs))
    whole = _crossed_by_others(graph)
    groups: list[list[Node]] = [[]]
    held: set[str] = set()
    for number, node in enumerate(graph.nodes):
        own = {name for name in (*node.inputs, *captured(node)) if name in sizes}
        is_full = own - held and sum(sizes[name] for name in own | held) > PART_BYTES
        if groups[-1] and is_full and number not in whole:
            groups.append([])
            held = set()
        groups[-1].append(node)
        held |= own
    return tuple(_joined(graph, groups, outputs))


def _crossed_by_others(graph: Graph) -> set[int]:
    """Find the nodes before which a tensor is still needed that is of no type of numpy's own."""
    types = element_types(graph).items()
    others = {
        name
        for name, dtype in types
        if dtype.kind not in NUMBERS and not (graph.widened and is_bfloat16(dtype))
    }
    place = {node.index: number for number, node in enumerate(graph.nodes)}
    crossed: set[int] = set()
    for name in others & graph.producers.keys():
        readers = graph.consumers.get(name, ())
        first = place[graph.producers[name].index] + 1
        crossed.update(range(first, 1 + max((place[n.index] for n in readers), default=0)))
    return crossed


def _joined(graph: Graph, groups: Sequence[list[Node]], outputs: Sequence[str]) -> list[Part]:
    """Say what goes from part to part; what nobody needs is not run."""
    wanted = set(outputs)
    parts: list[Part] = []
    for nodes in reversed(groups):
        made = {name for node in nodes for name in node.outputs}
        given = tuple(sorted(made & wanted))
        # Backwards from what is needed: a node whose result nobody reads asks for nothing.
        needed = set(given)
        for node in reversed(nodes):
            if needed.intersection(node.outputs):
                needed |= {*node.inputs} | captured(node)
        read = needed - made - set(graph.constants) - {""}
        parts.append(Part(tuple(nodes), tuple(sorted(read)), given))
        wanted = (wanted - made) | read
    return parts[::-1]


def _run_parts(
    graph: Graph,
    parts: Sequence[Part],
    feeds: Mapping[str, Array],
    outputs: Sequence[str],
    *,
    exact: bool,
) -> dict[str, Array] | None:
    """Run part after part; None where what goes from one to the next is no tensor."""
    sessions = PartSessions(graph)
    values: dict[str, Array] = dict(feeds)
    for number, part in enumerate(parts):
        if part.outputs:
            own = {name: values[name] for name in part.inputs}
            made = _run_part(sessions, part, own, exact=exact)
            if made.keys() != set(part.outputs):  # a sequence or a map, laid out
                return None
            values.update(made)
        needed = {name for later in parts[number + 1 :] for name in later.inputs}.union(outputs)
        values = {name: value for name, value in values.items() if name in needed}
    return {name: graph.constants[name] if name in graph.constants else values[name]
            for name in outputs}  # fmt: skip


def _run_part(
    sessions: PartSessions, part: Part, feeds: Mapping[str, Array], *, exact: bool
) -> dict[str, Array]:
    """Run a part; its session, and with it its weights, are gone before the next is made."""
    types = {name: array.dtype for name, array in feeds.items()}
    return sessions.open(types, part.outputs, exact=exact).run(feeds)
