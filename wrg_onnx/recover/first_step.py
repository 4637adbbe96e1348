"""The first step of ridge: from the covariances of the original alone, no further forward.

What a layer reads of the channels that are left is, of those of the original, a part; so is the
covariance. What that part tells of the channels that are gone goes into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from wrg_onnx.channels import IdArray
from wrg_onnx.factors import Float64Array, IntArray
from wrg_onnx.graph import Array
from wrg_onnx.recover.layers import LinearLayer, from_matrix
from wrg_onnx.recover.measure import Measured, MeasuredLayer
from wrg_onnx.recover.places import ROWS_PER_INPUT
from wrg_onnx.recover.removal import Slices
from wrg_onnx.recover.ridge import divided

PENALTY = 1e-3
"""Times the mean variance of the inputs, what ridge most often takes where rows are plenty."""


def first_step(
    measured: Measured, layers: Sequence[LinearLayer], constants: Mapping[str, Array], cut: Slices
) -> dict[str, Array]:
    """Let each layer that lost inputs make up for them, as if all before it were as it was.

    Args:
        measured: What the model told before the cut.
        layers: Layers of the pruned model.
        constants: Their weights and biases, by name.
        cut: The kept positions per axis of each sliced constant.

    Returns:
        New weights and biases, by name.

    Source: the update of Optimal Brain Surgeon for groups of columns, as in ``select.repair``; with
    a covariance from images, GRAIL, arXiv:2602.23795.
    """
    new: dict[str, Array] = {}
    for layer in layers:
        known = measured.layers.get(layer.target)
        if known is None or known.sums is None or known.sums.rows < 2:
            continue
        kept = _kept(known, cut.get(known.layer.weight, ()))
        if kept is None:
            continue
        matrix, bias = _made_up(known, *kept)
        weight, old = constants[layer.weight], constants[layer.bias]
        if matrix.size == weight.size:
            new[layer.weight] = from_matrix(layer, matrix, weight)
            new[layer.bias] = (bias / layer.beta).reshape(old.shape).astype(old.dtype)
    return new


def _made_up(
    known: MeasuredLayer, groups: IntArray, outputs: IntArray, inputs: IntArray
) -> tuple[Float64Array, Float64Array]:
    """Solve for a layer's new weights and bias.

    Args:
        known: What is known of it.
        groups: (G',) the groups that are left.
        outputs: (G', M') the outputs that are left, within each group.
        inputs: (G', D') the inputs that are left.

    Returns:
        (G', M', D') and (G', M').
    """
    sums = known.sums
    assert sums is not None
    assert sums.origin.x is not None
    covariance = sums.covariance_x()[groups]
    mean = (sums.x / sums.rows + sums.origin.x[..., 0])[groups]
    whole = np.take_along_axis(known.matrix()[groups], outputs[:, :, None], 1)
    # With W_K and W_J the weights of the inputs that stay and go, and V the change of W_K,
    #   V (C_KK + p I) = W_J C_JK.
    gone = _complement(inputs, covariance.shape[1])
    left = np.take_along_axis(whole, inputs[:, None, :], 2)
    columns = np.take_along_axis(covariance, inputs[:, None, :], 2)
    square = np.take_along_axis(columns, inputs[:, :, None], 1)
    across = np.take_along_axis(columns, gone[:, :, None], 1)
    lost = np.take_along_axis(whole, gone[:, None, :], 2) @ across
    scale = float(np.einsum("gdd->gd", square).mean()) or 1.0
    few = max(1.0, ROWS_PER_INPUT * covariance.shape[1] / sums.rows)
    np.einsum("gdd->gd", square)[:] += PENALTY * few * scale
    found = left + divided(lost, square)
    kept_mean = np.take_along_axis(mean, inputs, 1)
    shift = np.einsum("gmd,gd->gm", whole, mean) - np.einsum("gmd,gd->gm", found, kept_mean)
    return found, np.take_along_axis(known.bias[groups], outputs, 1) + shift


def _complement(kept: IntArray, size: int) -> IntArray:
    """Return of each group the positions below ``size`` that are not kept: (G', size - D')."""
    is_gone = np.ones((len(kept), size), bool)
    np.put_along_axis(is_gone, kept, values=False, axis=1)
    return np.nonzero(is_gone)[1].reshape(len(kept), -1)


def _kept(
    known: MeasuredLayer, kept: Sequence[IdArray | None]
) -> tuple[IntArray, IntArray, IntArray] | None:
    """Find the groups, outputs and inputs of a layer that are left, as ``_made_up`` takes them.

    Args:
        known: What is known of the layer.
        kept: The kept positions per axis of its weight.

    Returns:
        Nothing if it lost no input, or its groups lost different numbers.
    """
    layer = known.layer
    taps = math.prod(known.weight.shape[2:])  # of a product's weight there are none
    made = layer.width // layer.group
    read = known.weight.size // (layer.width * taps)
    transposed = layer.node.op == "ConvTranspose"
    output_axis = 1 - layer.input_axis
    if len(kept) <= max(layer.input_axis, output_axis) or kept[layer.input_axis] is None:
        return None
    ins, outs = kept[layer.input_axis], kept[output_axis]
    assert ins is not None
    # One of the two axes holds all groups one after the other: of a Conv's weight the outputs, of a
    # ConvTranspose's the inputs. The other one holds what each group has.
    if transposed:
        outs = np.arange(made) if outs is None else outs
        groups, ins = _by_group(ins, read)
    else:
        outs = np.arange(layer.width) if outs is None else outs
        groups, outs = _by_group(outs, made)
    if not len(groups):
        return None
    ins, outs = (np.broadcast_to(x, (len(groups), x.shape[-1])) for x in (ins, outs))
    inputs = (ins[:, :, None] * taps + np.arange(taps)).reshape(len(groups), -1)
    return groups, np.ascontiguousarray(outs), inputs


def _by_group(positions: IdArray, size: int) -> tuple[IntArray, IntArray]:
    """Divide positions into groups of some size.

    Returns:
        The groups that are left, (G',), and the positions within each, (G', n); no group if they
        are left with different numbers.
    """
    groups, counts = np.unique(positions // size, return_counts=True)
    if len(set(counts.tolist())) != 1:
        return groups[:0], positions[:0].reshape(0, 0)
    return groups, (positions % size).reshape(len(groups), -1)
