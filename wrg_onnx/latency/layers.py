"""The layers of a model whose time is measured, and what it may grow with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.channels import Axes, IdArray, Units, traits_of
from wrg_onnx.channels.costs import multiplications
from wrg_onnx.channels.traits import LengthProduct
from wrg_onnx.channels.units import Analysed
from wrg_onnx.factors import Float64Array
from wrg_onnx.graph import Graph, digest
from wrg_onnx.latency.steps import ChannelSteps


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """Something that time may grow with: a product of axis lengths.

    Attributes:
        axes: The unit at each position of each axis; negative: stays.
        outside: Which of the axes counts only where its length leaves the fast layout; None for
            none.
    """

    axes: tuple[IdArray, ...]
    outside: int | None = None

    def tables(self, steps: ChannelSteps) -> tuple[Float64Array, ...]:
        """Return of each axis what its lengths, from 0 on, count as on a machine."""
        return tuple(
            steps.outside(len(units)) if at == self.outside else steps.inside(len(units))
            for at, units in enumerate(self.axes)
        )


@dataclass(frozen=True, slots=True, eq=False)
class TimedLayer:
    """A node, and the pointwise ones behind it, which ONNX Runtime mostly computes with it.

    Attributes:
        name: What its first node makes: the same in what the model is cut to.
        shape: A hash of the operator, its attributes and the shapes around it: layers that share it
            take the same time at the same widths.
        features: What its time may grow with.
    """

    name: str
    shape: str
    features: tuple[Feature, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class TimedLayers:
    """All layers of a model.

    Attributes:
        layers: The layers, in the order of the nodes.
        layer_of: By tensor, the number of the layer that makes it.
    """

    layers: tuple[TimedLayer, ...]
    layer_of: Mapping[str, int]


def find_timed_layers(units: Units) -> TimedLayers:
    """Divide a model into layers.

    Args:
        units: The analysis of the model.
    """
    constants = units.constants.forms
    layer_of: dict[str, int] = {}
    first: list[Analysed] = []
    behind: list[list[str]] = []
    for analysed in units.nodes.values():
        node, traits = analysed.call.node, traits_of(analysed.call.node)
        before = [layer_of[name] for name in node.inputs if name in layer_of]
        joins = (traits.is_pointwise or traits.continues_layer) and traits.multiplications is None
        if joins and before:
            number = max(before)
            behind[number].append(node.op)
        else:
            number = len(first)
            first.append(analysed)
            behind.append([])
        layer_of.update((name, number) for name in node.outputs if name)
    layers = []
    for analysed, others in zip(first, behind, strict=True):
        node = analysed.call.node
        features = tuple(_features(units, analysed))
        data = [name for name in (*node.inputs, *node.outputs) if name and name not in constants]
        shape = digest(
            node.domain,
            node.op,
            [(k, v) for k, v in sorted(node.attributes.items()) if not isinstance(v, Graph)],
            [constants[name].shape for name in node.inputs if name in constants],
            [units.axes[name].shape for name in data if name in units.axes],
            others,
            [(len(feature.axes), feature.outside) for feature in features],
        )
        name = next(name for name in node.outputs if name)
        layers.append(TimedLayer(name, shape, features))
    return TimedLayers(tuple(layers), layer_of)


def _features(units: Units, analysed: Analysed) -> Iterator[Feature]:
    """Yield what the time of a node may grow with, each product once.

    Beside a constant these are the sizes of what it reads and writes, and its multiplications; and
    the latter once more for each axis, for counts that a fast layout does not take.
    """
    yield Feature(())
    seen: set[tuple[bytes, ...]] = {()}
    node = analysed.call.node
    names = [name for name in (*node.inputs, *node.outputs) if name in units.axes]
    plain = [_live(units, [(units.axes[name], range(units.axes[name].rank))]) for name in names]
    products = [_live(units, parts) for parts in multiplications(analysed)]
    for axes in (*plain, *products):
        key = tuple(sorted(axis.tobytes() for axis in axes))
        if key not in seen:
            seen.add(key)
            yield Feature(axes)
    seen = set()
    for axes in products:
        key = tuple(sorted(axis.tobytes() for axis in axes))
        if key not in seen:
            seen.add(key)
            for at in range(len(axes)):
                yield Feature(axes, at)


def _live(units: Units, parts: LengthProduct | Sequence[tuple[Axes, range]]) -> tuple[IdArray, ...]:
    """Return the units of those axes that a removal may shorten."""
    found = []
    for axes, chosen in parts:
        for axis in chosen:
            ids = axes.ids[axis]
            if ids is not None and (owned := units.of(ids)).max(initial=-1) >= 0:
                found.append(owned)
    return tuple(found)


def values(features: Sequence[Feature], steps: ChannelSteps, alive: np.ndarray) -> Float64Array:
    """Return what features come to with only those units left.

    Args:
        features: The features.
        steps: How the machine counts channels.
        alive: (units,) bool.

    Returns:
        (features,) float64.
    """
    kept = np.append(alive, True)  # -1, without a unit, stays
    found = np.ones(len(features))
    for number, feature in enumerate(features):
        for units, table in zip(feature.axes, feature.tables(steps), strict=True):
            found[number] *= table[int(kept[units].sum())]
    return found
