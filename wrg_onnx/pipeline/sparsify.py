"""Train the original towards the cut, before it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from wrg_onnx.errors import DataError, needs_torch
from wrg_onnx.factors import BoolArray
from wrg_onnx.finetune import FinetuneOptions
from wrg_onnx.finetune.check import check_twin
from wrg_onnx.graph import Graph, is_float
from wrg_onnx.pipeline.analyse import Model, analyse_graph
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.finetune import training_data
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.report.records import SparsifyReport
from wrg_onnx.rewrite import plan_slices
from wrg_onnx.select import Selection

RATE = 3e-3
"""The learning rate: what makes up for units that fade has farther to go than fine-tuning has."""


def check_sparsify(original: Graph, samples: Samples, config: PruneConfig) -> None:
    """Refuse what would stop the training before the cut, before the long work starts.

    Raises:
        DataError: If it is asked for, and there are too few samples.
        MissingPackageError: If it is asked for, and torch is not installed.
        UnsupportedOperatorError: If it is, and an operator has no twin.
        ModelError: If it is, and no weight can be trained.
    """
    if not config.sparsify:
        return
    with needs_torch("sparsify"):
        from wrg_onnx.finetune.prepare import check_trainable
    check_trainable(original, _options(config))
    found = len(samples.calibration)
    if found < 2:
        raise DataError(
            f"sparsify needs at least 2 samples, to train on and to hold out, got {found} of "
            f"{samples.calibration.content}: add some, or raise --samples"
        )


def sparsify_model(
    model: Model, selection: Selection, samples: Samples, config: PruneConfig, clock: Clock
) -> tuple[Model, SparsifyReport]:
    """Let what was chosen to die fade while the rest of the original learns to do without.

    Args:
        model: The analysed original.
        selection: Which of its units would die now; the cut chooses again.
        samples: What the run looks at.
        config: What to prune, and how.
        clock: Times the stages.

    Returns:
        The original with other weights, analysed, and how that went.

    Raises:
        ValidationError: If ONNX Runtime does not compute what was trained.
        WrgError: Another of its kinds, as ``finetune.sparsify``.
    """
    with needs_torch("sparsify"):
        from wrg_onnx.finetune.sparsify import sparsify
    dying = elements_of(model, selection.alive)
    with clock.stage("sparsify"):
        data = training_data(samples, seed=config.seed)
        tuned = sparsify(model.graph, dying, data, _options(config), progress=clock.progress)
        check_twin(model.graph, tuned, data.held_out[0])
        faded = analyse_graph(tuned.graph, model.input_shapes, config.limits)
    first, last = tuned.history[0], tuned.history[-1]
    report = SparsifyReport(
        epochs=tuned.epochs,
        units=selection.removed,
        left=_size(faded.units.constants, dying) / (_size(model.units.constants, dying) or 1.0),
        loss_before=first.held_out_loss,
        loss_after=last.held_out_loss,
        max_f_before=first.held_out_max_f,
        max_f_after=last.held_out_max_f,
    )
    return faded, report


def elements_of(model: Model, alive: BoolArray) -> dict[str, BoolArray]:
    """Say which elements of constants belong to units that die.

    Args:
        model: The analysed model.
        alive: (units,) bool, those that stay.

    Returns:
        By constant that loses any, a mask of its shape: rows of producers, columns of consumers.
    """
    masks = {}
    for name, axes in plan_slices(model.units, alive).kept.items():
        shape = model.units.constants.forms[name].shape
        dies = np.zeros(shape, bool)
        for axis, kept in enumerate(axes):
            if kept is not None:
                gone = np.ones(shape[axis], bool)
                gone[kept] = False
                dies |= gone.reshape(-1, *[1] * (len(shape) - axis - 1))
        masks[name] = dies
    return masks


def _options(config: PruneConfig) -> FinetuneOptions:
    epochs = max(config.sparsify, 1)
    return FinetuneOptions(epochs=epochs, seed=config.seed, learning_rate=RATE, ema=0.0)


def _size(constants: Mapping[str, np.ndarray], dying: Mapping[str, BoolArray]) -> float:
    """Return the root of the sum of squares of what dies, the floats of it."""
    squares = 0.0
    for name, mask in dying.items():
        array = constants[name]
        if is_float(array.dtype):
            squares += float(np.square(array[mask].astype(np.float64)).sum())
    return math.sqrt(squares)
