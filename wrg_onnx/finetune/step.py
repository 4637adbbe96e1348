"""One step of training, and the loss of a batch; with fewer samples at once where memory is short.

A step adds up the gradient over a batch, part by part, clips it and lets AdamW move the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from wrg_onnx.errors import StatisticsError, UsageError
from wrg_onnx.finetune.distributed import add_up, shares
from wrg_onnx.finetune.numerics import diverged, diverged_gradient, lacks_determinism
from wrg_onnx.finetune.prepare import Setting
from wrg_onnx.finetune.schedule import rate_factor
from wrg_onnx.finetune.state import Course, TrainingState
from wrg_onnx.graph import Array
from wrg_onnx.twin import Twin
from wrg_onnx.twin.batches import Batch

Result = TypeVar("Result")

_LEAST_SCALE = 1.0
"""Where float16 still overflows with gradients scaled by this, the model has diverged."""


def take_step(setting: Setting, state: TrainingState, batches: Sequence[Batch]) -> float:
    """Move the weights once, and the averaged ones behind them.

    Args:
        setting: What is trained, and how.
        state: Changed in place.
        batches: All samples of the step, those of other processes included.

    Returns:
        The mean loss over the samples.

    Raises:
        StatisticsError: If the loss or a gradient is not finite; it names the layer.
        UsageError: If the loss does not depend on any weight.
        WorkerError: If another process is gone.
    """
    options, course, scaler = setting.options, state.course, state.scaler
    factor = rate_factor(course.step, setting.steps, options.warmup)
    for group in state.optimizer.param_groups:
        group["lr"] = options.learning_rate * factor * group["size"]
    loss = _persist(lambda: _gradients(setting, state, batches), course, options.batch)
    loss = add_up(state.twin, loss, options.workers)
    scaler.unscale_(state.optimizer)
    parameters = state.twin.parameters_by_name()
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if norm.isfinite():
        nn.utils.clip_grads_with_norm_(parameters.values(), options.clip, norm)
    # In float16 the scaler leaves such a step out and tries a smaller scale next time.
    elif not scaler.is_enabled() or scaler.get_scale() <= _LEAST_SCALE:
        raise diverged_gradient({name: p.grad for name, p in parameters.items()})
    scaler.step(state.optimizer)
    scaler.update()
    state.follow(options.ema)
    course.step += 1
    return loss


def judge_batch(setting: Setting, state: TrainingState, batch: Batch) -> tuple[float, list[Array]]:
    """Run the averaged weights on a batch.

    Returns:
        The mean loss over the samples, and of each the saliency map, (h, w) float32 in [0, 1]; none
        where masks do not judge.

    Raises:
        StatisticsError: If the loss is not finite; it names the layer.
    """

    def judge_parts() -> tuple[float, list[Array]]:
        total, maps = 0.0, []
        for part in batch.split(state.course.at_once):
            _, value, answers = _checked_loss(setting, state.average, part)
            total += value * part.size
            found = setting.objective.saliency_maps(answers)
            # A fixed batch is one sample many times.
            maps += [] if found is None else list(found[: part.size, 0].cpu().numpy())
        return total / batch.size, maps

    return _persist(judge_parts, state.course, setting.options.batch)


def _gradients(setting: Setting, state: TrainingState, batches: Sequence[Batch]) -> float:
    """Add up the gradient over this process's samples of a step; return their mean loss."""
    state.optimizer.zero_grad(set_to_none=True)
    count = sum(batch.size for batch in batches)
    total = 0.0
    for batch in shares(batches, setting.options.workers):
        for part in batch.split(state.course.at_once):
            loss, value, _ = _checked_loss(setting, state.twin, part)
            state.scaler.scale(loss * (part.size / count)).backward()  # type: ignore[no-untyped-call]
            total += value * part.size / count
    return total


def _checked_loss(
    setting: Setting, twin: Twin, batch: Batch
) -> tuple[Tensor, float, dict[str, Tensor]]:
    """Return the loss with its gradient, its value, which is finite, and what the twin answers."""
    batch = batch.to(setting.device)
    objective = setting.objective
    with torch.autocast(setting.device.type, torch.float16, enabled=setting.half):
        taught = None if objective.teacher is None else objective.teacher.answer(batch)
        values = twin(batch.feeds, objective.taps)
    loss = objective(values, taught, batch)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise diverged(setting.graph, twin, batch)
    if torch.is_grad_enabled() and not loss.requires_grad:
        raise UsageError(
            f"'{setting.graph.name}': the loss does not depend on any weight that can be trained"
        )
    return loss, value, values


def _persist(work: Callable[[], Result], course: Course, batch: int) -> Result:
    """Do a piece of work; with fewer samples at once, or without determinism, if need be.

    Args:
        work: Reads ``course.at_once``, and can be done again from its beginning.
        course: Gets fewer samples at once, and the notes about it.
        batch: Samples of a step, which stay as many.
    """
    while True:
        try:
            return work()
        except torch.OutOfMemoryError as error:
            if course.at_once == 1:
                raise StatisticsError(
                    "CUDA is out of memory at a single sample: use --device cpu, or a smaller "
                    "--size where the model leaves it open"
                ) from error
        except RuntimeError as error:
            if "t allocate memory" in str(error):
                raise MemoryError from error
            if not (lacks_determinism(error) and torch.are_deterministic_algorithms_enabled()):
                raise
            torch.use_deterministic_algorithms(False)
            course.notes.append(
                "torch has no deterministic form of an operator of this model on this device, "
                "so another run with the same seed may differ a little"
            )
            continue
        # Outside of the handler, since its traceback holds the tensors.
        _take_fewer(course, batch)


def _take_fewer(course: Course, batch: int) -> None:
    course.at_once = max(1, min(course.at_once, batch) // 2)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    course.notes[:] = [note for note in course.notes if not note.startswith("CUDA")]
    course.notes.append(
        f"CUDA was out of memory at {2 * course.at_once} samples at once, so gradients are "
        f"added up over {course.at_once} at a time; the batch is still {batch}"
    )
