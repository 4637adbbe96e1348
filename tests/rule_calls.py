"""Ask one rule by itself, and read its answer as plain lists."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.sizes import constant_sizes, from_source, may_be_sizes
from wrg_onnx.channels.table import find_derivation, find_rule
from wrg_onnx.graph import Node, Weights


def axes(shape, **live):
    """Make axes with ids; ``a1=20`` gives axis 1 the ids from 20 on, or those of a list."""
    ids = [None] * len(shape)
    for name, start in live.items():
        axis = int(name[1:])
        given = start if isinstance(start, list) else range(start, start + shape[axis])
        ids[axis] = np.array(given, np.int64)
    return Axes(tuple(shape), tuple(ids))


def call(op, inputs, shapes, *, version=17, weights=(), carriers=(), **attributes):
    """Make a call; arrays among the inputs are constants, None an absent input."""
    names = tuple("" if i is None else f"i{n}" for n, i in enumerate(inputs))
    outputs = tuple(f"o{n}" if s else "" for n, s in enumerate(shapes))
    node = Node(5, "node", op, "", version, names, outputs, attributes)
    operands = []
    for position, given in enumerate(inputs):
        if given is None or isinstance(given, Operand):
            operands.append(given)
        elif isinstance(given, Axes):
            operands.append(Operand(f"i{position}", given, position in weights))
        else:
            array = np.asarray(given)
            sizes = None
            if may_be_sizes(array):
                sizes = from_source(constant_sizes(array), (node.index, position))
            name = f"i{position}"
            held = Weights({name: array})
            operands.append(Operand(name, Axes.inert(array.shape), True, held, sizes))
    return Call(node, tuple(operands), tuple(tuple(s) for s in shapes), carriers)


def couple(*args, **kwargs):
    made = call(*args, **kwargs)
    return find_rule(made.node)(made)


def carried(coupling, output=0):
    return [None if i is None else i.tolist() for i in coupling.outputs[output].ids]


def ties(coupling):
    pairs = {
        (min(a, b), max(a, b))
        for tie in coupling.ties
        for a, b in zip(tie.left.tolist(), tie.right.tolist(), strict=True)
    }
    return sorted(pair for pair in pairs if pair[0] != pair[1])


def frozen(coupling):
    return {f.reason: sorted(f.ids.tolist()) for f in coupling.frozen if f.reason}


def demands(coupling):
    return [
        (d.position, d.element, None if d.ids is None else d.ids.tolist()) for d in coupling.demands
    ]


def derive(alive_ids_gone, *args, **kwargs):
    made = call(*args, **kwargs)
    outputs = find_rule(made.node)(made).outputs
    gone = np.array(alive_ids_gone)
    derived = find_derivation(made.node)(made, outputs, lambda ids: ~np.isin(ids, gone))
    operands = {position: array.tolist() for position, array in derived.operands.items()}
    return dict(derived.attributes), operands
