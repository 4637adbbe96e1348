"""Recover a pruned model from the original and some samples, without a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from wrg_onnx.data.dataset import DataSet
from wrg_onnx.errors import StatisticsError
from wrg_onnx.graph import Graph, Provider, one_blas_thread
from wrg_onnx.progress import Progress, silent
from wrg_onnx.recover.first_step import first_step
from wrg_onnx.recover.layers import find_layers
from wrg_onnx.recover.measure import MeasureOptions, measure_layers
from wrg_onnx.recover.measured import Measured
from wrg_onnx.recover.outcome import LayerFit, check_fits
from wrg_onnx.recover.places import RowOptions
from wrg_onnx.recover.reach import is_reached, reached_tensors
from wrg_onnx.recover.removal import Removal
from wrg_onnx.recover.ridge_level import solve_level
from wrg_onnx.recover.walk import Walk
from wrg_onnx.recover.write_weights import LayerChange, with_biases, write_weights

FEWEST_SAMPLES = 2
"""One to solve on, one to choose the penalty on."""

DEFAULT_BOUND_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class ReconstructOptions:
    """How a model is reconstructed.

    Attributes:
        provider: Where ONNX Runtime computes.
        bound_bytes: How many bytes of the pruned model's tensors are held between layers. Where
            those of all samples do not fit, fewer samples are walked with.
        rows: Which rows of each layer are taken.
    """

    provider: Provider = Provider.CPU
    bound_bytes: int = DEFAULT_BOUND_BYTES
    rows: RowOptions = field(default_factory=RowOptions)


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """A recovered model.

    Attributes:
        graph: The model, with the shapes of the pruned one; layers may have got a bias.
        fits: What became of each layer that was solved for, in the order of solving.
        left: How many layers were left as they are, by reason.
        walked: With how many samples the layers were solved for in order.
    """

    graph: Graph
    fits: tuple[LayerFit, ...]
    left: Mapping[str, int]
    walked: int = 0


def check_samples(data: DataSet) -> None:
    """Refuse to solve for weights on too few samples.

    Raises:
        StatisticsError: If there are too few.
    """
    if len(data) < FEWEST_SAMPLES:
        raise StatisticsError(
            f"solving for weights needs at least {FEWEST_SAMPLES} samples, got {len(data)}: add "
            "some, or use --recover bias"
        )


@one_blas_thread()
def reconstruct(
    original: Graph,
    removal: Removal,
    data: DataSet,
    options: ReconstructOptions,
    *,
    measured: Measured | None = None,
    progress: Progress = silent,
) -> Reconstruction:
    """Change the weights of each linear layer so that its output is near the original's again.

    First each layer that lost inputs makes up for them, from the covariances alone. Then layers
    are solved for in order from input to output, each on what the recovered layers before it
    compute. A layer that no removed channel reaches keeps its weights, and so does one that the
    data give more or fewer rows than in the original.

    Args:
        original: The original model.
        removal: The last cut, with the channels that are left of the original.
        data: The calibration samples, read one at a time; at least two.
        options: Where to compute, from which rows, and within which bound.
        measured: What ``measure_layers`` told of the original on these samples; None to measure.
        progress: Told how many layers are done.

    Returns:
        The recovered model.

    Raises:
        StatisticsError: If a layer reads or makes NaN or infinity, if its new weights do not fit
            their type, or if there are too few samples.
    """
    check_samples(data)
    if measured is None or measured.graph is not original:
        how = MeasureOptions(options.provider, options.rows)
        measured = measure_layers(original, data, how, progress=progress)
    pruned, kept = removal.pruned, removal.kept
    found = find_layers(pruned, kept)
    # Every layer gets a bias to solve for. Those that do not change lose it again: what is written
    # in the end are the changes alone, to the layers as they are in the pruned model.
    ready = with_biases(pruned, found.layers)
    layers = find_layers(ready, kept).layers
    by_target = {layer.target: layer for layer in layers}
    constants = ready.constants
    if removal.before is original:
        constants = constants.changed(first_step(measured, layers, constants, removal.slices))
    reached = reached_tensors(original, pruned)
    fits: list[LayerFit] = []
    left = Counter(found.left)
    walked = 0
    if layers:
        walk = Walk(ready, layers, data, provider=options.provider,
                    bound_bytes=options.bound_bytes)  # fmt: skip
        walked = len(walk)
        done = 0
        for number, level in enumerate(walk.levels):
            to_solve = [layer for layer in level if is_reached(layer, reached)]
            solved = solve_level(walk, measured, to_solve, ready, constants)
            constants = constants.changed(solved.constants)
            fits += solved.fits
            left.update(solved.left)
            now = {name: constants[name] for x in level for name in (x.weight, x.bias)}
            walk.advance(number, now)
            done += len(level)
            progress("recover", done, len(layers))
    for layer in layers:
        for name in (layer.weight, layer.bias):
            check_fits(layer.target, constants[name])

    def changed(name: str) -> bool:
        return constants.entries[name] is not ready.constants.entries[name]

    changes = [
        LayerChange(
            layer,
            constants[own.weight] if changed(own.weight) else None,
            constants[own.bias],
        )
        for layer, own in ((layer, by_target[layer.target]) for layer in found.layers)
        if any(changed(name) for name in (own.weight, own.bias))
    ]
    return Reconstruction(write_weights(pruned, changes), tuple(fits), dict(left), walked)
