"""Take the statistics that a criterion needs, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wrg_onnx.calibrate.data import DataSet
from wrg_onnx.calibrate.head import SaliencyHead
from wrg_onnx.calibrate.maps import DEFAULT_BOUND_BYTES, MapOptions, MapStatistics, collect_maps
from wrg_onnx.calibrate.progress import Progress, silent
from wrg_onnx.calibrate.statistics import LayerValues, Statistics
from wrg_onnx.calibrate.taps import Tap, plan_taps
from wrg_onnx.calibrate.weights import filter_norms
from wrg_onnx.channels import Units
from wrg_onnx.graph import MissingPackageError, Provider, StatisticsError, resolve_provider


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Which statistics to take, and how.

    Attributes:
        weights: Norms of filters.
        ranks: Ranks of feature maps.
        activations: Mean absolute activations of feature maps.
        gradients: A backward pass.
        provider: Where ONNX Runtime computes.
        bound_bytes: How many bytes of feature maps are held at a time.
    """

    weights: bool = False
    ranks: bool = False
    activations: bool = False
    gradients: bool = False
    provider: Provider = Provider.AUTO
    bound_bytes: int = DEFAULT_BOUND_BYTES


def collect(
    units: Units,
    data: DataSet | None,
    options: CollectOptions,
    *,
    head: SaliencyHead | None = None,
    progress: Progress = silent,
) -> Statistics:
    """Take statistics of a model.

    Args:
        units: The analysis of the model.
        data: The calibration images; None if only weights are needed.
        options: Which statistics, and how.
        head: How to read the saliency map, None if the model has none.
        progress: Told how many images are done.

    Returns:
        The statistics; those that were not needed are empty.

    Raises:
        MissingPackageError: If gradients are needed and torch is not installed.
        UnsupportedOperatorError: If gradients are needed and an operator has no twin.
        StatisticsError: If a feature map or a gradient is not finite, or there is no feature map.
    """
    weight, weight_l1 = filter_norms(units) if options.weights else ([], [])
    maps = MapStatistics((), (), 0)
    gradient: tuple[LayerValues, ...] = ()
    images = 0
    if data is not None and (options.ranks or options.activations or options.gradients):
        taps = plan_taps(units)
        if not taps and units.removable.any():
            raise StatisticsError(
                "no layer that can be pruned makes a feature map that can be looked at: use a "
                "criterion on the weights alone, such as --criterion l1"
            )
        if options.gradients:
            # First, because a missing twin should be known before the long pass.
            gradient = _gradients(units, taps, data, head, progress)
            images = len(data)
        if options.ranks or options.activations:
            maps = collect_maps(
                units.graph,
                taps,
                data,
                MapOptions(options.ranks, resolve_provider(options.provider), options.bound_bytes),
                progress=progress,
            )
            images = maps.images
    return Statistics(weight, weight_l1, maps.rank, gradient, maps.activation, images)


def _gradients(
    units: Units,
    taps: Sequence[Tap],
    data: DataSet,
    head: SaliencyHead | None,
    progress: Progress,
) -> tuple[LayerValues, ...]:
    try:
        from wrg_onnx.calibrate.gradients import collect_gradients
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            raise
        raise MissingPackageError(
            "torch",
            purpose="a criterion with a gradient",
            extra="torch",
            otherwise="choose one without, such as --criterion wr",
        ) from error
    found = collect_gradients(
        units.graph,
        taps,
        data,
        head,
        progress=progress,
    )
    return found.gradient
