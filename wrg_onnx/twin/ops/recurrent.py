"""Recurrent layers: LSTM, GRU and RNN, through torch's fused kernels or step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import number, optional
from wrg_onnx.twin.kernels.recurrent import DEFAULTS, fits_kernel, run_kernel
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


Activation: TypeAlias = Callable[[Tensor], Tensor]
States: TypeAlias = tuple[Tensor, ...]
"""(N, H) each: the hidden state, and the cell of an LSTM."""
Cell: TypeAlias = Callable[[Tensor, States], States]
"""From the input's share of the gates, (N, g*H), and the states to the next states."""
# By lower case, since ONNX Runtime takes either: the function and its default alpha and beta.
_ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], tuple[float, ...]]] = {
    "relu": (torch.relu, ()),
    "tanh": (torch.tanh, ()),
    "sigmoid": (torch.sigmoid, ()),
    "softsign": (functional.softsign, ()),
    "softplus": (lambda x: torch.logaddexp(x, torch.zeros_like(x)), ()),
    "leakyrelu": (functional.leaky_relu, (0.01,)),
    "elu": (functional.elu, (1.0,)),
    "thresholdedrelu": (lambda x, alpha: functional.threshold(x, alpha, 0.0), (1.0,)),
    "affine": (lambda x, alpha, beta: alpha * x + beta, (1.0, 0.0)),
    "scaledtanh": (lambda x, alpha, beta: alpha * torch.tanh(beta * x), (1.0, 1.0)),
    "hardsigmoid": (lambda x, alpha, beta: (alpha * x + beta).clamp(0.0, 1.0), (0.2, 0.5)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """One direction of a recurrent layer, its gates in the order of ONNX.

    Attributes:
        weight: (g*H, I).
        recurrence: (g*H, H).
        bias: (g*H), the input's.
        recurrent_bias: (g*H), the hidden state's.
        peepholes: (3*H) of an LSTM, or None.
        activations: Those of the gates, the clip included.
    """

    weight: Tensor
    recurrence: Tensor
    bias: Tensor
    recurrent_bias: Tensor
    peepholes: Tensor | None
    activations: Sequence[Activation]


@twin_op("LSTM", since=7, fixed=(5, 6))
def lstm(node: Node, x: Tensor, w: Tensor, r: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
    """Run an LSTM over time.

    Shapes:
        x (S, N, I), w (D, 4*H, I), r (D, 4*H, H), then b (D, 8*H), lengths (N), initial_h and
        initial_c (D, N, H), p (D, 3*H) -> Y (S, D, N, H), Y_h and Y_c (D, N, H); the gates are
        i, o, f, c. With layout 1 the batch comes first.

    Source: https://onnx.ai/onnx/operators/onnx__LSTM.html
    """
    return _run(node, x, (w, r), rest, _lstm_cell)


@twin_op("GRU", since=7, fixed=(5,))
def gru(node: Node, x: Tensor, w: Tensor, r: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
    """Run a GRU over time; the shapes are those of an LSTM with the gates z, r, h.

    Source: https://onnx.ai/onnx/operators/onnx__GRU.html
    """
    return _run(node, x, (w, r), rest, _gru_cell)


@twin_op("RNN", since=7, fixed=(5,))
def rnn(node: Node, x: Tensor, w: Tensor, r: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
    """Run a plain recurrent layer over time; the shapes are those of an LSTM with one gate.

    Source: https://onnx.ai/onnx/operators/onnx__RNN.html
    """
    return _run(node, x, (w, r), rest, _rnn_cell)


def _run(
    node: Node,
    x: Tensor,
    weights: tuple[Tensor, Tensor],
    rest: Sequence[Tensor | None],
    make_cell: Callable[[Node, Direction], Cell],
) -> tuple[Tensor, ...]:
    b, lengths, initial_h, initial_c, p = optional(rest, 5)
    batch_first = node.int("layout", 0) == 1
    x = x.transpose(0, 1) if batch_first else x
    w, r = weights[0].to(x.dtype), weights[1].to(x.dtype)
    directions, hidden = r.shape[0], r.shape[2]
    states = []
    for state in (initial_h, initial_c)[: 2 if node.op == "LSTM" else 1]:
        if state is None:
            states.append(x.new_zeros(directions, x.shape[1], hidden))
        else:
            states.append((state.transpose(0, 1) if batch_first else state).to(x.dtype))
    biases = x.new_zeros(directions, 2 * r.shape[1]) if b is None else b.to(x.dtype)
    if fits_kernel(node) and lengths is None and p is None:
        y, *last = run_kernel(node, x, (w, r, biases), states)
    else:
        each = _read_directions(node, (w, r, biases, p))
        y, *last = _unrolled(node, x, each, states, lengths, make_cell)
    if batch_first:
        y, last = y.permute(2, 0, 1, 3), [state.transpose(0, 1) for state in last]
    return (y, *last)


def _read_directions(
    node: Node, operands: tuple[Tensor, Tensor, Tensor, Tensor | None]
) -> Iterator[Direction]:
    w, r, b, p = operands
    activations = _read_activations(node, w.shape[0])
    count = len(DEFAULTS[node.op])
    for place, (weight, recurrence, biases) in enumerate(zip(w, r, b, strict=True)):
        bias, recurrent_bias = biases.chunk(2)
        peepholes = None if p is None else p[place].to(w.dtype)
        own = activations[place * count : (place + 1) * count]
        yield Direction(weight, recurrence, bias, recurrent_bias, peepholes, own)


def _read_activations(node: Node, directions: int) -> list[Activation]:
    """Return the activations of all directions; alpha and beta go to those that have them."""
    names = node.attributes.get("activations", ())
    names = tuple(names) if isinstance(names, tuple) and names else DEFAULTS[node.op] * directions
    given = [list(_floats(node, name)) for name in ("activation_alpha", "activation_beta")]
    bound = number(node, "clip", 0.0)
    found: list[Activation] = []
    for position, name in enumerate(names):
        if str(name).lower() not in _ACTIVATIONS:
            raise ModelError(f"{node}: ONNX has no activation '{name}' for a recurrent layer")
        function, defaults = _ACTIVATIONS[str(name).lower()]
        own = [
            values.pop(0) if values else default
            for values, default in zip(given, defaults, strict=False)
        ]
        # Gates are clipped. An LSTM's cell is not, as in ONNX Runtime: the text leaves it open.
        is_gate = node.op != "LSTM" or position % 3 < 2
        found.append(_clipped(function, own, bound if is_gate else 0.0))
    return found


def _floats(node: Node, name: str) -> tuple[float, ...]:
    values = node.attributes.get(name, ())
    return tuple(float(value) for value in values) if isinstance(values, tuple) else ()


def _clipped(
    function: Callable[..., Tensor], parameters: Sequence[float], bound: float
) -> Activation:
    if bound:
        return lambda x: function(x.clamp(-bound, bound), *parameters)
    return lambda x: function(x, *parameters)


def _unrolled(
    node: Node,
    x: Tensor,
    directions: Iterator[Direction],
    states: Sequence[Tensor],
    lengths: Tensor | None,
    make_cell: Callable[[Node, Direction], Cell],
) -> tuple[Tensor, ...]:
    """Run each direction in a loop over time.

    Args:
        node: For the directions that it names.
        x: (S, N, I).
        directions: Forward first, where there are two.
        states: (D, N, H) each, at the start.
        lengths: (N), how many steps each sequence has; None if all have S.
        make_cell: Makes what one step computes.

    Returns:
        Y (S, D, N, H), then the last states, (D, N, H) each.
    """
    # S steps, N sequences, I inputs, H hidden positions, g gates, D directions. What the input
    # adds to the gates does not depend on the states: one product over all steps, (S, N, g*H),
    # then a step takes its (N, g*H) and the states, (N, H). The way back reads the steps of each
    # sequence from its own end: order (S, N or 1, 1) says where, and puts the outputs back after
    # it, for it is its own inverse.
    steps = torch.arange(len(x), device=x.device)[:, None, None]
    limits = None if lengths is None else lengths.to(x.device)[:, None]
    inside = None if limits is None else steps < limits  # (S, N, 1)
    outputs, finals = [], []
    for place, direction in enumerate(directions):
        backward = place == 1 or node.str("direction", "forward") == "reverse"
        order = _order(steps, limits) if backward else None
        fed = x if order is None else torch.gather(x, 0, order.expand(x.shape))
        shares = functional.linear(fed, direction.weight, direction.bias)
        cell = make_cell(node, direction)
        now = tuple(state[place] for state in states)
        made = []
        for step, share in enumerate(shares.unbind(0)):
            then = cell(share, now)
            if inside is None:
                now, y = then, then[0]
            else:  # a sequence that has ended keeps its state and gives zeros
                pairs = zip(then, now, strict=True)
                now = tuple(torch.where(inside[step], new, old) for new, old in pairs)
                y = torch.where(inside[step], then[0], torch.zeros_like(then[0]))
            made.append(y)
        y = torch.stack(made)
        outputs.append(y if order is None else torch.gather(y, 0, order.expand(y.shape)))
        finals.append(now)
    last = (torch.stack(column) for column in zip(*finals, strict=True))
    return (torch.stack(outputs, 1), *last)


def _order(steps: Tensor, limits: Tensor | None) -> Tensor:
    """Return where each step is read in a reversed sequence, (S, N or 1, 1).

    Padding behind the end of a sequence stays where it is.
    """
    if limits is None:
        return steps.flip(0)
    return torch.where(steps < limits, limits - 1 - steps, steps)


def _lstm_cell(node: Node, direction: Direction) -> Cell:
    f, g, h = direction.activations
    p = direction.peepholes
    peep_i, peep_o, peep_f = (None, None, None) if p is None else p.chunk(3)

    # share and gates: (N, 4*H), the gates side by side as i, o, f, c. The names of the activations
    # are the specification's: f bends the gates, g what is written, h what is read.
    def cell(share: Tensor, states: States) -> States:
        hidden, cell = states
        gates = share + functional.linear(hidden, direction.recurrence, direction.recurrent_bias)
        i, o, forget, c = gates.chunk(4, -1)
        i = f(_peep(i, peep_i, cell))
        keep = 1 - i if node.int("input_forget", 0) else f(_peep(forget, peep_f, cell))
        cell = keep * cell + i * g(c)
        return f(_peep(o, peep_o, cell)) * h(cell), cell

    return cell


def _peep(gate: Tensor, weight: Tensor | None, cell: Tensor) -> Tensor:
    return gate if weight is None else gate + weight * cell


def _gru_cell(node: Node, direction: Direction) -> Cell:
    f, g = direction.activations
    after = node.int("linear_before_reset", 0)
    of_gates, of_new = direction.recurrence.tensor_split([2 * direction.recurrence.shape[1]])
    bias_gates, bias_new = direction.recurrent_bias.tensor_split(
        [2 * direction.recurrence.shape[1]]
    )

    # The gates lie side by side as z, r, h: the first 2*H rows of the recurrence make z and r, the
    # last H the new state. With linear_before_reset r scales what the last rows give, and else what
    # they read.
    def cell(share: Tensor, states: States) -> States:
        (hidden,) = states
        z_share, r_share, new = share.chunk(3, -1)
        z, r = functional.linear(hidden, of_gates, bias_gates).chunk(2, -1)
        z, r = f(z_share + z), f(r_share + r)
        if after:
            new = g(new + r * functional.linear(hidden, of_new, bias_new))
        else:
            new = g(new + functional.linear(r * hidden, of_new, bias_new))
        return ((1 - z) * new + z * hidden,)

    return cell


def _rnn_cell(_node: Node, direction: Direction) -> Cell:
    (f,) = direction.activations

    def cell(share: Tensor, states: States) -> States:
        return (
            f(share + functional.linear(states[0], direction.recurrence, direction.recurrent_bias)),
        )

    return cell
