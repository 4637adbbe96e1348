"""W: the norm of a filter times what scales its channel, and the norms of filters as they are."""

from __future__ import annotations

import numpy as np

from wrg_onnx.calibrate.registry import measures_weights
from wrg_onnx.calibrate.weight.filters import FloatRows, all_filters, of_filters
from wrg_onnx.calibrate.weight.gains import filter_gains
from wrg_onnx.channels import Units
from wrg_onnx.factors import L1, L2, WEIGHT, Float64Array, LayerValues


@measures_weights(L1)
def l1_norms(units: Units) -> list[LayerValues]:
    """Take the L1 norm of every filter as it is in the file.

    Args:
        units: The analysis of the model.

    Returns:
        The norms, one entry per axis of a constant that holds filters.

    Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, arXiv:1608.08710.
    """
    return of_filters(units, _l1)


@measures_weights(L2)
def l2_norms(units: Units) -> list[LayerValues]:
    """Take the L2 norm of every filter as it is in the file.

    Args:
        units: The analysis of the model.

    Returns:
        The norms, one entry per axis of a constant that holds filters.
    """
    return of_filters(units, _l2)


@measures_weights(WEIGHT)
def scaled_norms(units: Units) -> list[LayerValues]:
    """Take the L2 norm of every filter, times what the model multiplies its channel by behind it.

    So the number is the same whether an exporter folded a batch normalisation into the filter or
    left it behind (``filter_gains`` says where not).

    Args:
        units: The analysis of the model.

    Returns:
        The norms, one entry per axis of a constant that holds filters.

    Source: WRGPruner's W as we reconstruct it: ADR 0012.
    """
    gains = filter_gains(units)
    return [
        LayerValues(filters.layer, filters.units, filters.measure(_l2) * gains[filters.ids])
        for filters in all_filters(units)
    ]


def _l1(rows: FloatRows) -> Float64Array:
    return np.asarray(np.abs(rows).sum(axis=1, dtype=np.float64))


def _l2(rows: FloatRows) -> Float64Array:
    return np.asarray(np.sqrt(np.square(rows).sum(axis=1, dtype=np.float64)))
