"""What other stages ask of an operator beyond its coupling, declared once, beside its rule.

A stage that wants to know whether an operator keeps zeros, or what it multiplies, asks
``traits_of(node)``; it holds no list of operators itself. What a trait would only hide stays as
code in the stage that owns it: arithmetic on the one operator that a function is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.sizes import SizeRule
from wrg_onnx.channels.units import Analysed
from wrg_onnx.extensions import Kind, calling_module, claim, load_all, origin_of
from wrg_onnx.graph import Array, Graph, Node, flatten

LengthProduct: TypeAlias = Sequence[tuple[Axes, Sequence[int]]]
"""Tensors, and of each the axes whose lengths are multiplied."""


def all_axes(axes: Axes) -> tuple[Axes, Sequence[int]]:
    """Multiply the lengths of all axes of a tensor."""
    return axes, range(axes.rank)


Count: TypeAlias = Callable[[Analysed], Iterator[LengthProduct]]
"""Counts multiplications of a node: their number is the sum over what it yields."""


class LayerForm(Enum):
    """How the output of a layer depends on its weight."""

    LINEAR = "linear in the weight, which meets windows of the input"
    SAMPLED = "linear in the weight, which meets places that another input names"
    QUANTISED = "linear in a weight of integers"
    FUSED = "an activation of what is linear in the weight"


@dataclass(frozen=True, slots=True, eq=False)
class ChannelScale:
    """What an operator does to each channel, when it scales and shifts at most.

    Attributes:
        factor: (C,) or (1,) float64, the size of what it multiplies each channel by.
        axis: Where the channels are behind it.
    """

    factor: NDArray[np.float64]
    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class ScaleQuestion:
    """A node that reads channels, asked what it multiplies them by.

    Attributes:
        node: The node.
        place: The position of the channels among its inputs.
        axis: Their axis there.
        rank: How many axes that tensor has.
        keeps_shape: Whether the output has the same shape.
        constants: By input position, a constant of floats; None for any other input.
    """

    node: Node
    place: int
    axis: int
    rank: int
    keeps_shape: bool
    constants: tuple[Array | None, ...]


Gain: TypeAlias = Callable[[ScaleQuestion], ChannelScale | None]
"""Answers a `ScaleQuestion`; None if the node does more than scale and shift each channel."""


@dataclass(frozen=True, slots=True)
class Traits:
    """The answers for one operator; a default says no, or that nothing is known.

    Attributes:
        is_pointwise: Whether each element of the outputs depends on those elements of the operands
            alone that broadcasting puts at its place.
        every_position_alike: Whether it has no say in which position of an axis is which, so that
            an axis may repeat its positions.
        continues_layer: Whether the channels of a layer are still that layer's feature map behind
            it: activations, what is added or multiplied, normalisation by channel.
        moves_elements: Whether it only moves elements of its first input (of a Concat all) about,
            or chooses among them.
        ignores_elements: Whether it looks at the shape of its input alone.
        keeps_zeros: Whether zeros of its first input are zeros of its outputs, at their ids.
        zero_at_zero: Whether its outputs are zero where all that it reads is.
        zero_at_factor: Whether its output is zero where one of its first two inputs is, and all
            further ones: a product, and a bias.
        zero_at_first: Tells whether its output is zero where its first input is.
        rests_at_zero: Of a layer with a state, the constants' ids at which zeros make that zero;
            None where they do not.
        runs_bodies: Whether it runs branches or a loop body, and reads what they return.
        reads_sizes: Whether its inputs behind the first are shapes, bounds, scales or counts.
        sizes: How it computes with sizes.
        per_channel: Positions of inputs that hold one number per channel and contract nothing:
            biases, scales, statistics.
        never_infinite: Positions of inputs that no model has infinity in: what a normalisation
            multiplies by, subtracts or divides by. A bias may be, so that a class is never chosen.
        variance: The input position of a variance.
        scale_and_bias: Whether inputs 1 and 2 are a weight or scale that has the output's channels
            on its first axis, and a bias.
        layer: How its output depends on its weight, if it is a layer.
        multiplications: Counts its multiplications.
        gain: Tells what it multiplies channels by.
        output_zero_point: The input position of its output's zero point.
        draws_random: Whether it may draw random numbers.
        look_ups: By position of an input of indices, that of the table whose rows they number.
        keeps_numbers: Whether its output has the numbers of its first input, all of them in order.
        requantises: Whether it writes the numbers of its first input with more or fewer bits.
        sums_mask: Whether integers that it reads are a mask of 0 and 1.
    """

    is_pointwise: bool = False
    every_position_alike: bool = False
    continues_layer: bool = False
    moves_elements: bool = False
    ignores_elements: bool = False
    keeps_zeros: bool = False
    zero_at_zero: bool = False
    zero_at_factor: bool = False
    zero_at_first: Callable[[Call], bool] | None = None
    rests_at_zero: Callable[[Call], IdArray | None] | None = None
    runs_bodies: bool = False
    reads_sizes: bool = False
    sizes: SizeRule | None = None
    per_channel: tuple[int, ...] = ()
    never_infinite: tuple[int, ...] = ()
    variance: int | None = None
    scale_and_bias: bool = False
    layer: LayerForm | None = None
    multiplications: Count | None = None
    gain: Gain | None = None
    output_zero_point: int | None = None
    draws_random: bool = False
    look_ups: Mapping[int, int] = field(default_factory=dict)
    keeps_numbers: bool = False
    requantises: bool = False
    sums_mask: bool = False


_NOTHING = Traits()
_TRAITS: dict[tuple[str, str], Traits] = {}


def op_traits(traits: Traits, *names: str, domain: str = "") -> None:
    """Declare traits of operators, beside those that were declared before.

    Args:
        traits: Those fields that are not the default are declared.
        names: The operators.
        domain: Their domain; ``""`` is ai.onnx.

    Raises:
        ValueError: If an operator has an answer in one of the fields already, or is another
            package's.
    """
    declared = {
        entry.name: getattr(traits, entry.name)
        for entry in fields(traits)
        if getattr(traits, entry.name) != getattr(_NOTHING, entry.name)
    }
    origin = origin_of(calling_module())
    for name in names:
        claim(Kind.RULE, (domain, name), origin)
        known = _TRAITS.get((domain, name), _NOTHING)
        for trait in declared:
            if getattr(known, trait) != getattr(_NOTHING, trait):
                raise ValueError(f"'{domain}.{name}' declares '{trait}' twice")
        _TRAITS[domain, name] = replace(known, **declared)


def traits_of(node: Node) -> Traits:
    """Return the traits of a node's operator."""
    load_all(Kind.RULE)
    return _TRAITS.get((node.domain, node.op), _NOTHING)


def draws_random(graph: Graph) -> bool:
    """Tell whether a node of a model, or of a body in it, may draw random numbers."""
    return any(traits_of(node).draws_random for node in flatten(graph).graph.nodes)


def traits_named(name: str, domain: str = "") -> Traits:
    """Return the traits of an operator by its name: that of a fused activation, say."""
    return _TRAITS.get((domain, name), _NOTHING)
