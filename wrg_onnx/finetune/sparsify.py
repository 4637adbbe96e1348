"""Train a model towards a cut: the units that will go fade while the others learn to do without."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from wrg_onnx.factors import BoolArray
from wrg_onnx.finetune.numerics import repeatable
from wrg_onnx.finetune.options import Finetuned, FinetuneOptions, TrainingData
from wrg_onnx.finetune.prepare import Setting, prepare, trainable_twin
from wrg_onnx.finetune.result import finetuned
from wrg_onnx.finetune.state import TrainingState
from wrg_onnx.finetune.train import Trainer
from wrg_onnx.graph import Graph
from wrg_onnx.progress import Progress, silent
from wrg_onnx.twin import Twin

LEFT = 0.01
"""What the penalty alone leaves of a weight at the end, as a share.

What a unit adds to the next layer is a row times a column, so 1e-4 of that is left.
"""


def sparsify(
    graph: Graph,
    dying: Mapping[str, BoolArray],
    data: TrainingData,
    options: FinetuneOptions,
    *,
    progress: Progress = silent,
) -> Finetuned:
    """Train a model that is not yet cut, and let the weights of some units fade.

    The loss is that of fine-tuning with the model itself as the teacher: its outputs, and the masks
    where there are masks. After each step the weights of the dying units, producers' rows and
    consumers' columns, shrink by a share that grows from step to step. The weights of the last step
    are returned, whatever the held-out samples say of them: it is the cut that they are for.

    Args:
        graph: The model.
        dying: By constant, which of its elements belong to a dying unit; of the constant's shape.
            Those that do not train are left out.
        data: Training and held-out samples; the latter only report.
        options: How to train; averaging and patience have no part in it.
        progress: Told the epoch with its loss, and the steps done.

    Returns:
        The model with its new weights; ``between`` is empty.

    Raises:
        UnsupportedOperatorError: If an operator has no twin.
        ModelError: If no weight can be trained.
        StatisticsError: If loss or gradients are not finite; it names the layer.
        DataError: If a sample cannot be read.

    Source: a penalty that grows on the units of the lowest scores is that of GReg-1, Wang et al.,
    "Neural Pruning via Growing Regularization", ICLR 2021, arXiv:2012.09243. That it acts on the
    weights beside the steps of AdamW is the decoupling of Loshchilov and Hutter, ICLR 2019,
    arXiv:1711.05101; that it spans whole units, as in Torch-Pruning (Fang et al., CVPR 2023), and
    its schedule are ours.
    """
    with repeatable(options.seed):
        setting, twin, _ = prepare(graph, graph, data, {}, options)
        average = trainable_twin(graph, options).requires_grad_(False).to(setting.device).eval()
        state = TrainingState.begin(twin, average, options, half=setting.half)
        masks = _masks(setting, twin, dying)
        trainer = Trainer(setting, state, after_step=lambda: _fade(setting, state, masks))
        try:
            trainer.judge()
            while state.course.epoch < options.epochs:
                trainer.train_epoch(progress)
        finally:
            trainer.close()
    return finetuned(setting, state, (), None)


def shrinkage(step: int, steps: int) -> float:
    """Return the share of a dying weight that goes after a step.

    Args:
        step: From 0.
        steps: How many there are; all of them leave ``LEFT`` of a weight that nothing else moves.

    Returns:
        A share in (0, 1) that grows from step to step.
    """
    # exp(-rate) is left after a step. The rates are as 1 : 2 : ... : steps, and sum up to -ln LEFT.
    rate = -math.log(LEFT) * 2 * (step + 1) / (steps * (steps + 1))
    return 1 - math.exp(-rate)


def _masks(setting: Setting, twin: Twin, dying: Mapping[str, BoolArray]) -> dict[str, Tensor]:
    trained = twin.parameters_by_name()
    return {
        name: torch.tensor(mask, dtype=trained[name].dtype, device=setting.device)
        for name, mask in dying.items()
        if name in trained and mask.any()
    }


@torch.no_grad()
def _fade(setting: Setting, state: TrainingState, masks: Mapping[str, Tensor]) -> None:
    """Shrink what is to go, after a step."""
    share = shrinkage(state.course.step - 1, setting.steps)
    parameters = state.twin.parameters_by_name()
    for name, mask in masks.items():
        parameters[name].mul_(1 - share * mask)
    # What is judged and returned are the weights themselves.
    state.follow(0.0)
