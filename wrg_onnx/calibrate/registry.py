"""Which function measures which factor. A factor of your own is a function and one call here.

    def energy(maps):
        return np.square(maps, dtype=np.float64).mean(axis=(2, 3))

    ENERGY = map_factor("energy", energy, version=1)

Our own factors are declared in ``factors/``, where criteria find them without onnx, and a decorator
binds each to its function here. G alone has none: ``gradient/`` measures it in a backward pass, and
must not be imported before torch is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.channels import Units
from wrg_onnx.errors import StatisticsError, WrgError, spoken
from wrg_onnx.extensions import OURS, Origin, calling_module, origin_of
from wrg_onnx.factors import GRADIENT, LARGEST, Factor, Float64Array, LayerValues, Source
from wrg_onnx.graph import Array

OfWeights: TypeAlias = Callable[[Units], Sequence[LayerValues]]
"""Takes the analysis of a model; gives not negative numbers for the channels of its layers.
``weight.filters.of_filters`` makes them from a function of one layer's filters."""

OfMaps: TypeAlias = Callable[[Array], NDArray[np.floating[Any]]]
"""Takes the maps of one layer that one image gives, (N, C, H, W) floats, and gives not negative
numbers: (N, C), of which the mean over N is taken, or (C,), where the function does that itself.
N is 1 unless the model divides its image, such as into windows."""

_Measure = TypeVar("_Measure", OfWeights, OfMaps)

_OF_WEIGHTS: dict[Factor, OfWeights] = {}
_OF_MAPS: dict[Factor, OfMaps] = {}


def weights_factor(
    name: str, measure: OfWeights, *, version: int, origin: Origin | None = None
) -> Factor:
    """Register a factor that weights alone give.

    Args:
        name: What reports call it.
        measure: Measures it.
        version: Grows with every change of ``measure``.
        origin: Who brings it; None for the package of the module that calls this.

    Returns:
        The factor: a part for criteria.

    Raises:
        ValueError: If there is a factor of that name.
    """
    factor = Factor(name, version, Source.WEIGHTS, origin=origin or origin_of(calling_module()))
    measures_weights(factor)(measure)
    return factor


def map_factor(
    name: str,
    measure: OfMaps,
    *,
    version: int,
    most: float = LARGEST,
    origin: Origin | None = None,
) -> Factor:
    """Register a factor of feature maps.

    Args:
        name: What reports call it.
        measure: Measures it on the maps of one layer and one image.
        version: Grows with every change of ``measure``: what was kept of others is not read.
        most: The largest number that it can give.
        origin: Who brings it; None for the package of the module that calls this.

    Returns:
        The factor: a part for criteria.

    Raises:
        ValueError: If there is a factor of that name.
    """
    factor = Factor(name, version, Source.MAPS, most, origin or origin_of(calling_module()))
    measures_maps(factor)(measure)
    return factor


def measures_weights(factor: Factor) -> Callable[[OfWeights], OfWeights]:
    """Return a decorator that registers what measures a factor of the weights.

    Raises:
        ValueError: If there is a factor of that name, or this one has another source.
    """
    return _binding(factor, Source.WEIGHTS, _OF_WEIGHTS)


def measures_maps(factor: Factor) -> Callable[[OfMaps], OfMaps]:
    """Return a decorator that registers what measures a factor of feature maps.

    Raises:
        ValueError: If there is a factor of that name, or this one has another source.
    """
    return _binding(factor, Source.MAPS, _OF_MAPS)


def all_factors() -> tuple[Factor, ...]:
    """List all factors that there are."""
    return (*_OF_WEIGHTS, *_OF_MAPS, GRADIENT)


def measure_weights(factor: Factor, units: Units) -> Sequence[LayerValues]:
    """Measure a factor of the weights.

    Args:
        factor: Which.
        units: The analysis of the model.

    Raises:
        StatisticsError: If a factor of others fails, or gives what is no number of a channel.
    """
    if factor.origin == OURS:
        return _OF_WEIGHTS[factor](units)
    with _named(factor, "the weights"):
        found = _OF_WEIGHTS[factor](units)
    for layer in found:
        wrong = layer.values[~((layer.values >= 0) & (layer.values <= factor.most))]
        if len(wrong):
            raise StatisticsError(
                f"factor '{factor.name}' gave {wrong[0]:g} for '{layer.layer}': expected a number "
                f"from 0 to {factor.most:g}"
            )
    return found


def measure_maps(factor: Factor, maps: Array, tensor: str) -> Float64Array:
    """Measure a factor on the maps of one layer and one image.

    Args:
        factor: Which.
        maps: (N, C, H, W) floats.
        tensor: Where they come from, for errors.

    Returns:
        (C,) float64, not negative, which may be NaN or infinite where the maps are.

    Raises:
        StatisticsError: If the factor's function gives anything else.
    """
    with _named(factor, f"the maps of '{tensor}', of shape {maps.shape}"):
        values = np.asarray(_OF_MAPS[factor](maps), np.float64)
    if values.shape == maps.shape[:2]:
        values = values.mean(axis=0)
    if values.shape != maps.shape[1:2]:
        raise StatisticsError(
            f"factor '{factor.name}' gave numbers of shape {values.shape} for the maps of "
            f"'{tensor}', of shape {maps.shape}: expected {maps.shape[:2]} or {maps.shape[1:2]}"
        )
    wrong = values[~((values >= 0) & (values <= factor.most))]
    if len(wrong) and np.isfinite(maps).all():
        raise StatisticsError(
            f"factor '{factor.name}' gave {wrong[0]:g} for a map of '{tensor}': expected a number "
            f"from 0 to {factor.most:g}"
        )
    return values


@contextmanager
def _named(factor: Factor, what: str) -> Iterator[None]:
    """Name the factor of others whose function fails inside."""
    try:
        yield
    except WrgError:
        raise
    except Exception as error:
        if factor.origin == OURS:
            raise
        raise StatisticsError(
            f"factor '{factor.name}' of {factor.origin} fails on {what}: {spoken(error)}"
        ) from error


def _binding(
    factor: Factor, source: Source, table: dict[Factor, _Measure]
) -> Callable[[_Measure], _Measure]:
    for known in all_factors():
        if known.name == factor.name:
            raise ValueError(f"there is a factor '{factor.name}' already, of {known.origin}")
    if factor.source is not source:
        raise ValueError(
            f"factor '{factor.name}' has the source '{factor.source.value}', "
            f"expected '{source.value}'"
        )

    def bind(measure: _Measure) -> _Measure:
        table[factor] = measure
        return measure

    return bind
