"""How much memory a run takes at least: the tensors that are alive at the same time.

Each may be small enough beside what is free, and a node that reads a dozen of them needs them all.
A few bytes of a file make tensors of any size, so that they are also held against what accounts for
them: the weights, and what is fed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from functools import cache

import onnx
from onnx import helper

from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.graph.capacity import LEAST_ITEM_BYTES, free_bytes
from wrg_onnx.graph.model import Graph, Node, Shape
from wrg_onnx.graph.subgraphs import flatten

FREE_OF_CHARGE = 1 << 29
"""How many bytes may be alive whatever the file holds."""

TIMES_HELD = 256
"""How often the bytes of weights and inputs may be alive beside that: super-resolution makes two
times 64 channels of one."""

GIB_VARIABLE = "WRG_ONNX_RUN_GIB"
"""The environment variable that sets another limit."""

STRING_BYTES = 32
"""What a string takes beside its characters."""

MOST_ITEM_BYTES = 16
"""What a value has at most that is no string."""

_STRING = "tensor(string)"


def check_alive(
    graph: Graph, shapes: Mapping[str, Shape], inferred: onnx.GraphProto, name: str
) -> None:
    """Refuse to run a model whose tensors do not fit into memory together.

    Args:
        graph: The model.
        shapes: A shape by tensor, of the flat graph; those that are not known count nothing.
        inferred: The graph with the types that inference found.
        name: What messages call the model.

    Raises:
        ModelError: If they do not, or are more than the file and what is fed account for.
        UsageError: If the environment says no number of GiB.
    """
    flat = flatten(graph).graph
    texts = text_lengths(flat)
    free = free_bytes()
    # Of most models all tensors together are far from any limit.
    whole = MOST_ITEM_BYTES * sum(map(math.prod, shapes.values()))
    most = FREE_OF_CHARGE if free is None else min(free, FREE_OF_CHARGE)
    if not texts and GIB_VARIABLE not in os.environ and whole <= most:
        return
    item_bytes = item_bytes_of(inferred)
    nbytes = {}
    for tensor, shape in shapes.items():
        each = item_bytes.get(tensor, LEAST_ITEM_BYTES)
        nbytes[tensor] = math.prod(shape) * (each + texts.get(tensor, 0))
    made = {output for node in flat.nodes for output in node.outputs}
    held = sum(form.nbytes for form in flat.constants.forms.values())
    held += sum(nbytes.get(value.name, 0) for value in flat.inputs)
    kept = {value.name for value in flat.outputs}
    most, node = most_alive(flat.nodes, {n: b for n, b in nbytes.items() if n in made}, kept)
    what = f"'{name}': at {node}, {most / 2**30:.1f} GiB are in memory at the same time"
    if free is not None and most > free:
        raise ModelError(f"{what}, and {free / 2**30:.1f} GiB are free")
    if most > accounted(held):
        raise ModelError(
            f"{what}, which weights and inputs of {held / 2**20:.1f} MiB do not account for; "
            f"{GIB_VARIABLE}={math.ceil(most / 2**30)} allows it"
        )


def accounted(held: int) -> int:
    """Return how many bytes may be alive in a run.

    Args:
        held: The bytes of the weights, and of what is fed.

    Raises:
        UsageError: If the environment says no number of GiB.
    """
    text = os.environ.get(GIB_VARIABLE)
    if text is None:
        return FREE_OF_CHARGE + TIMES_HELD * held
    try:
        gib = float(text)
    except ValueError:
        gib = 0.0
    if not 0 < gib < float("inf"):
        raise UsageError(f"{GIB_VARIABLE} must be a number of GiB such as 8, got '{text}'")
    return int(gib * 2**30)


def most_alive(
    nodes: Sequence[Node], nbytes: Mapping[str, int], kept: Collection[str] = ()
) -> tuple[int, Node | None]:
    """Return the most bytes that are alive at once, and behind which node.

    A tensor is let go when its last reader has run; that may write its result in its place.

    Args:
        nodes: In the order in which they run.
        nbytes: By tensor that they make; one that is not there counts nothing.
        kept: What is returned, and stays to the end.
    """
    last = {name: index for index, node in enumerate(nodes) for name in node.inputs}
    alive = most = 0
    at: Node | None = None
    for index, node in enumerate(nodes):
        made = [name for name in node.outputs if name in nbytes]
        alive += sum(nbytes[name] for name in made)
        gone = {n for n in node.inputs if last[n] == index and n in nbytes and n not in kept}
        alive -= sum(nbytes[name] for name in gone)
        if alive > most:
            most, at = alive, node
        alive -= sum(nbytes[name] for name in made if name not in last and name not in kept)
    return most, at


def text_lengths(flat: Graph) -> dict[str, int]:
    """Return how long the strings of a tensor are at most, with what each takes beside that.

    What makes strings alone, such as StringConcat, may join those that it reads; what also takes
    numbers hands them on. Of strings that are fed nothing is known.
    """
    found: dict[str, int] = {value.name: STRING_BYTES for value in flat.inputs
                             if value.dtype.kind in "OSU"}  # fmt: skip
    for name, form in flat.constants.forms.items():
        if form.dtype.kind in "OSU":
            longest = max((len(text) for text in flat.constants[name].reshape(-1)), default=0)
            found[name] = STRING_BYTES + longest
    if not found:
        return found
    for node in flat.nodes:
        read = [found[name] for name in node.inputs if name in found]
        for name, (hands_on, joins) in zip(node.outputs, _strings(node), strict=False):
            if read and hands_on:
                found[name] = sum(read) if joins else max(read)
    return found


def _strings(node: Node) -> Sequence[tuple[bool, bool]]:
    """Tell of each output of a node whether it may hold strings, and whether it holds these alone.

    What no schema is known of may hold strings of any of its operands.
    """
    return _by_schema(node.op, node.domain, node.version) or [(True, False)] * len(node.outputs)


@cache
def _by_schema(op: str, domain: str, version: int) -> tuple[tuple[bool, bool], ...]:
    try:
        schema = onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return ()
    return tuple((_STRING in one.types, one.types == {_STRING}) for one in schema.outputs)


def item_bytes_of(graph: onnx.GraphProto) -> dict[str, int]:
    """Return how many bytes a value of each tensor has whose type is inferred."""
    found = {}
    for info in (*graph.value_info, *graph.output):
        kind = info.type.tensor_type.elem_type
        if kind and kind != onnx.TensorProto.STRING:
            found[info.name] = _bytes_of(kind)
    return found


@cache
def _bytes_of(kind: int) -> int:
    return int(helper.tensor_dtype_to_np_dtype(kind).itemsize)
