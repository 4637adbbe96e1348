"""Recurrent layers: LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from wrg_onnx.channels.answers import Coupling, Freeze, Tie, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import LengthProduct, Traits, all_axes, op_traits
from wrg_onnx.channels.units import Analysed
from wrg_onnx.graph import Shape

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS = "runs along this axis step by step"
RUN_TIME = "reads weights that are computed at run time"
# Positions of the inputs. A GRU and an RNN have those up to the initial state.
X, W, R, BIAS, LENGTHS, INITIAL_H, INITIAL_C, PEEPHOLES = range(8)


@op_rule("LSTM", "GRU", "RNN", since=7)
def couple_recurrent(call: Call) -> Coupling:
    """Make one unit of a hidden position: in each gate, direction and state.

    Shapes:
        X (S, N, I), W (D, g*H, I), R (D, g*H, H), B (D, 2*g*H), lengths (N), initial_h and
        initial_c (D, N, H), P (D, 3*H) -> Y (S, D, N, H), Y_h and Y_c (D, N, H); g is 4 for an
        LSTM, 3 for a GRU, 1 for an RNN. With layout 1 the batch comes first.

    The layer consumes its own output through R: where a unit's slice of R's last axis is zero, no
    other unit sees it. All else is done unit by unit. Both directions share one ``hidden_size``. An
    initial state of zeros, such as exporters compute for an open batch, is the default.

    Source: https://onnx.ai/onnx/operators/onnx__LSTM.html
    """
    if not (call.operand(W).is_weight and call.operand(R).is_weight):
        frozen = tuple(Freeze(o.axes.flat(), RUN_TIME) for o in call.inputs if o is not None)
        return Coupling(tuple(Axes.inert(s) for s in call.output_shapes), frozen=frozen)
    x, w, r = call.axes(X), call.axes(W), call.axes(R)
    gates = GATES[call.node.op]
    hidden = r.at(2)
    ties = [
        Tie(x.at(2), w.at(2)),
        Tie(np.tile(hidden, gates), w.at(1)),
        Tie(np.tile(hidden, gates), r.at(1)),
    ]
    frozen = freeze_axes(x, (0, 1), STEPS) + freeze_axes(w, [0], "") + freeze_axes(r, [0], "")
    for position, copies in ((BIAS, 2 * gates), (PEEPHOLES, 3)):
        operand = call.optional(position)
        if operand is not None:
            ties.append(Tie(np.tile(hidden, copies), operand.axes.at(1)))
            frozen += freeze_axes(operand.axes, [0], "")
    for position in (INITIAL_H, INITIAL_C):
        state = call.optional(position)
        if state is None:
            continue
        # Zeros that carry nothing are as if they were absent, which the derivation makes them.
        if state.axes.ids[2] is not None or not state.is_zero:
            ties.append(Tie(hidden, state.axes.at(2)))
        frozen += freeze_axes(state.axes, (0, 1), "" if state.is_zero else STEPS)
    lengths = call.optional(LENGTHS)
    if lengths is not None:
        frozen += freeze_axes(lengths.axes, [0], STEPS)
    return Coupling(
        tuple(_last_axis(shape, hidden) for shape in call.output_shapes),
        tuple(ties),
        frozen,
        filters=(w.at(1), r.at(1)),
        consumed=(w.at(2), hidden),
    )


def _last_axis(shape: Shape, ids: np.ndarray) -> Axes:
    """Put ids on the last axis of an output; one that is absent has none."""
    return Axes(shape, (*(None,) * (len(shape) - 1), ids) if shape else ())


@derivation("LSTM", "GRU", "RNN", since=7)
def derive_hidden_size(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the hidden units that are left; a state of zeros, of the old width, goes."""
    hidden = call.axes(R).at(2)
    if alive(hidden).all():
        return Derived()
    states = ((position, call.optional(position)) for position in (INITIAL_H, INITIAL_C))
    absent = {position: None for position, state in states if state is not None and state.is_zero}
    return Derived({"hidden_size": int(alive(hidden).sum())}, absent)


def _count_steps(analysed: Analysed) -> Iterator[LengthProduct]:
    """Apply both weights, to the input and to the last state, at each step."""
    x = analysed.call.axes(X)
    for position in (W, R):
        yield [all_axes(analysed.call.axes(position)), (x, (0, 1))]


_ACTIVATIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
"""How many activations a direction has."""

_ZERO_AT_ZERO = frozenset({"elu", "leakyrelu", "relu", "scaledtanh", "softsign", "tanh"})


def _rests_at_zero(call: Call) -> IdArray | None:
    """Name what makes the state zero, unless that is 0.5 without weights, as by a sigmoid."""
    count = _ACTIVATIONS[call.node.op]
    names = call.node.attributes.get("activations", ())
    assert isinstance(names, tuple)
    # The first one of a GRU and of an LSTM makes the gates, which scale.
    bend = [str(name) for place, name in enumerate(names) if count == 1 or place % count]
    if not all(name.lower() in _ZERO_AT_ZERO for name in bend):
        return None
    parts = [np.empty(0, np.int64)]
    for position, operand in enumerate(call.inputs):
        if operand is None or position in (X, LENGTHS):
            continue
        found = operand.zeroed_by(2 if position in (INITIAL_H, INITIAL_C) else 1)
        if found is None:
            return None
        parts.append(found)
    return np.concatenate(parts)


op_traits(Traits(multiplications=_count_steps, rests_at_zero=_rests_at_zero), "GRU", "LSTM", "RNN")
