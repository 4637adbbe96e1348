"""Recover a pruned model from the original and some samples, without a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.data.dataset import DataSet
from wrg_onnx.errors import StatisticsError
from wrg_onnx.graph import Array, Graph, Provider
from wrg_onnx.graph.difference import gap_and_scale
from wrg_onnx.progress import Progress, silent
from wrg_onnx.recover.layers import LinearLayer, find_layers
from wrg_onnx.recover.outcome import LayerFit, Solved, check_fits
from wrg_onnx.recover.paired_run import DEFAULT_BOUND_BYTES, PairedRun
from wrg_onnx.recover.ridge_level import solve_level
from wrg_onnx.recover.write_weights import LayerChange, with_biases, write_weights
from wrg_onnx.rewrite.kept_channels import KeptChannels

FEWEST_SAMPLES = 2
"""One to solve on, one to choose the penalty on."""

_LOOKED_AT = 8
"""How many samples tell whether a layer is reached: a blank one need not."""

_SAME = 1e-5
"""A layer whose output differs by less than this is reached by no removed channel."""


@dataclass(frozen=True, slots=True)
class ReconstructOptions:
    """How a model is reconstructed.

    Attributes:
        provider: Where ONNX Runtime computes.
        bound_bytes: How many bytes of tensors are held between layers.
        seed: Chooses rows where a layer reads too much to use all of them.
    """

    provider: Provider = Provider.CPU
    bound_bytes: int = DEFAULT_BOUND_BYTES
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """A recovered model.

    Attributes:
        graph: The model, with the shapes of the pruned one; layers may have got a bias.
        fits: What became of each layer that was solved for, in the order of solving.
        left: How many layers were left as they are, by reason.
    """

    graph: Graph
    fits: tuple[LayerFit, ...]
    left: Mapping[str, int]


def reconstruct(
    original: Graph,
    pruned: Graph,
    kept: Mapping[str, KeptChannels],
    data: DataSet,
    options: ReconstructOptions,
    *,
    progress: Progress = silent,
) -> Reconstruction:
    """Change the weights of each linear layer so that its output is near the original's again.

    Layers are solved for in order from input to output, each on what the recovered layers before
    it compute. A layer that no removed channel reaches keeps its weights, and so does one that the
    data give more or fewer rows than in the original.

    Args:
        original: The original model.
        pruned: The pruned one.
        kept: Which channels of the original each tensor of the pruned model still has.
        data: The calibration samples, read one at a time; at least two.
        options: Where to compute, and within which bound.
        progress: Told how many layers are done.

    Returns:
        The recovered model.

    Raises:
        StatisticsError: If a layer reads or makes NaN or infinity, if its new weights do not fit
            their type, or if there are too few samples.
    """
    if len(data) < FEWEST_SAMPLES:
        raise StatisticsError(
            f"solving for weights needs at least {FEWEST_SAMPLES} samples, got {len(data)}: add "
            "some, or use --recover bias"
        )
    found = find_layers(pruned, kept)
    # Every layer gets a bias to solve for. Those that do not change lose it again: what is written
    # in the end are the changes alone, to the layers as they are in the pruned model.
    ready = with_biases(pruned, found.layers)
    layers = find_layers(ready, kept).layers
    by_target = {layer.target: layer for layer in layers}
    run = PairedRun(original, ready, layers, data, provider=options.provider,
                bound_bytes=options.bound_bytes)  # fmt: skip
    rng = np.random.default_rng(options.seed)
    constants = dict(ready.constants)
    fits: list[LayerFit] = []
    left = Counter(found.left)
    done = 0
    for number, level in enumerate(run.levels):
        solved = _solve(run, level, constants, rng)
        for fit in solved.fits:
            for name in _names(by_target, by_target[fit.layer]):
                check_fits(fit.layer, solved.constants.get(name))
        constants |= solved.constants
        fits += solved.fits
        left.update(solved.left)
        run.advance(number, solved.constants)
        done += len(level)
        progress("recover", done, len(layers))
    changes = [
        LayerChange(layer, constants[layer.weight], constants[by_target[layer.target].bias])
        for layer in found.layers
        if any(constants[name] is not ready.constants[name] for name in _names(by_target, layer))
    ]
    return Reconstruction(write_weights(pruned, changes), tuple(fits), dict(left))


def _names(layers: Mapping[str, LinearLayer], layer: LinearLayer) -> tuple[str, str]:
    """Return the names of a layer's weight and bias once each has a bias of its own."""
    return layers[layer.target].weight, layers[layer.target].bias


def _solve(
    run: PairedRun,
    level: Sequence[LinearLayer],
    constants: Mapping[str, Array],
    rng: np.random.Generator,
) -> Solved:
    """Solve for the layers of a level that a removed channel reaches."""
    layers = _reached(run, level)
    if not layers:
        run.skip(level)
        return Solved({})
    return solve_level(run, layers, constants, rng)


def _reached(run: PairedRun, layers: Sequence[LinearLayer]) -> tuple[LinearLayer, ...]:
    """Return the layers whose output is no longer the original's, judged by a few samples."""
    targets = [layer.target for layer in layers]
    differ: set[str] = set()
    for originals, found in run.pairs(layers, targets, most=_LOOKED_AT):
        differ |= {name for name in targets if not _is_same(originals[name], found[name])}
        if len(differ) == len(layers):
            break
    return tuple(layer for layer in layers if layer.target in differ)


def _is_same(original: Array, found: Array) -> bool:
    if original.shape != found.shape:
        return False
    gap, scale = gap_and_scale(original, found)
    return gap <= _SAME * scale
