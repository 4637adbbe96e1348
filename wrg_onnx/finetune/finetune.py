"""Fine-tune a model through its torch twin, and distil its original into it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from wrg_onnx.finetune.channel_levels import correct_levels
from wrg_onnx.finetune.checkpoint import check_checkpoint
from wrg_onnx.finetune.distributed import check_alike
from wrg_onnx.finetune.numerics import copied, repeatable
from wrg_onnx.finetune.options import (
    Finetuned,
    FinetuneOptions,
    TrainingData,
    is_better,
)
from wrg_onnx.finetune.prepare import prepare, samples_to_measure, trainable_twin
from wrg_onnx.finetune.result import finetuned
from wrg_onnx.finetune.resume import describe_run, restore, store
from wrg_onnx.finetune.state import TrainingState
from wrg_onnx.finetune.train import Trainer
from wrg_onnx.graph import Graph
from wrg_onnx.progress import Progress, silent
from wrg_onnx.rewrite.kept_channels import KeptChannels
from wrg_onnx.twin.batches import join


def finetune(
    student: Graph,
    teacher: Graph | None,
    data: TrainingData,
    kept: Mapping[str, KeptChannels],
    options: FinetuneOptions,
    *,
    progress: Progress = silent,
) -> Finetuned:
    """Train the weights of a graph, and return the graph with the best ones that were met.

    The loss is BCE + IoU + SSIM of the saliency map against the masks where there are masks, or
    the user's own; to this comes, weighted by ``options.distil``, how far outputs and feature maps
    are from the teacher's. What is best says the largest F-measure on the held-out samples where
    there are masks, else the loss there. The best epoch is taken, or weights on the way to it from
    those before training, which are a candidate, too.

    Args:
        student: The graph to train.
        teacher: The graph to learn from; None for none.
        data: Training and held-out samples.
        kept: Which channels of the teacher the student still has, by tensor; those that do not fit
            the two, and so all where it is empty, stay out of the loss.
        options: How to train.
        progress: Told the epoch with its loss, and the steps done.

    Returns:
        The trained graph, and how it went.

    Raises:
        UsageError: If there is nothing to learn from, the teacher does not fit, or the user's loss
            is not usable.
        UnsupportedOperatorError: If an operator has no twin.
        ModelError: If no weight can be trained.
        StatisticsError: If loss or gradients are not finite; it names the layer.
        DataError: If a sample cannot be read.
        OutputError: If the checkpoint is taken, or cannot be written.
        MissingPackageError: If there is to be one, and safetensors is not installed.
    """
    check_checkpoint(options.checkpoint)
    with repeatable(options.seed):
        setting, twin, notes = prepare(student, teacher, data, kept, options)
        check_alike(setting.device, options.workers, half=setting.half)
        average = trainable_twin(student, options).requires_grad_(False).to(setting.device).eval()
        state = TrainingState.begin(twin, average, options, half=setting.half)
        state.course.notes += notes
        trainer = Trainer(setting, state)
        file = options.checkpoint
        try:
            run = {}
            if file is not None:
                run = describe_run(setting, teacher, trainer.describe_samples())
            if file is not None and file.resume and os.path.lexists(file.path):
                restore(state, setting, file, run)
            else:
                trainer.judge()
                _set_levels(trainer)
            while not trainer.is_done:
                trainer.train_epoch(progress)
                if file is not None and not options.workers.index:
                    store(state, file, run)
            tried, chosen = trainer.try_between()
        finally:
            trainer.close()
    return finetuned(setting, state, tried, chosen)


def _set_levels(trainer: Trainer) -> None:
    """Start from layers at the teacher's levels, if they are better on the held-out samples."""
    setting, state = trainer.setting, trainer.state
    course = state.course
    teacher = setting.objective.teacher
    if teacher is None or not setting.kept:
        return
    batches = join(samples_to_measure(setting.data.training), joins=setting.joins)
    if len(batches) > 1:
        course.notes.append(
            "the levels of the layers are not corrected: that takes several samples at once, and "
            "the model takes one"
        )
        return
    # The levels are set in place; only the samples tell whether that was for the better.
    start = copied(state.twin)
    batch = batches[0].to(setting.device)
    count = correct_levels(setting.graph, state.twin, teacher.twin, setting.kept, batch)
    if not count:
        return
    state.average.load_state_dict(state.twin.state_dict())
    before, after = course.history[0], trainer.judge()
    change = f"held-out loss {before.held_out_loss:.4f} -> {after.held_out_loss:.4f}"
    if before.held_out_max_f is not None:
        change += f", max F {before.held_out_max_f:.3f} -> {after.held_out_max_f:.3f}"
    if is_better(after, before):
        state.measure_sizes()
        course.notes.append(
            f"before training {count} layers were set to the teacher's levels: {change}"
        )
        return
    state.restart_from(start)
    course.notes.append(
        f"setting {count} layers to the teacher's levels did not help ({change}), so training "
        "starts without"
    )
