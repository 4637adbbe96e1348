"""Some steps of fine-tuning with the forward pass in float32, and the same with it in float16."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from gpu.nets import original, pruned
from gpu.task import Stopwatch, Task, run
from wrg_onnx import Device
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.finetune import FinetuneOptions
from wrg_onnx.finetune.numerics import repeatable
from wrg_onnx.finetune.prepare import Setting, batches_of, prepare, trainable_twin
from wrg_onnx.finetune.state import TrainingState
from wrg_onnx.finetune.step import take_step
from wrg_onnx.graph import Provider, load
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.finetune import training_data
from wrg_onnx.pipeline.input_shapes import concrete_shapes
from wrg_onnx.pipeline.samples import open_samples
from wrg_onnx.rewrite import read_note

NET = "vgg16_sod"


def work(task: Task, keep: Callable[..., None]) -> None:
    """Take the same steps twice, and compare the losses."""
    teacher, student = load(original(task, NET)), load(pruned(task, NET))
    wanted = DataOptions(samples=task.pick(64, 6))
    samples = open_samples(
        student, concrete_shapes(student, wanted), wanted, teacher, provider=Provider.CPU, seed=0
    )
    data = training_data(samples, seed=0)
    options = FinetuneOptions(batch=task.pick(8, 2), device=Device(task.device))
    losses = {}
    for label, half in (("float32", False), ("float16", True)):
        with repeatable(options.seed):
            setting, twin, notes = prepare(student, teacher, data, read_note(student), options)
            keep(computes_in_half=setting.half, notes=notes)
            if half and not setting.half and task.device == "cuda":
                return  # an operator refuses float16, and fine-tuning would go on in float32
            average = trainable_twin(student, options).requires_grad_(False).to(task.device)
            state = TrainingState.begin(twin, average.eval(), options, half=half)
            setting = replace(setting, half=half)
            losses[label], figures = train(task, setting, state, data.training)
        keep(**{label: figures})
    gap = np.abs(np.subtract(losses["float16"], losses["float32"])) / np.abs(losses["float32"])
    keep(largest_difference=float(gap.max()), last_difference=float(gap[-1]))


def train(
    task: Task, setting: Setting, state: TrainingState, data: DataSet
) -> tuple[list[float], dict[str, float]]:
    """Take steps on the same batches in turn, without augmentation.

    Returns:
        The loss of each step, and what the steps took; the first ones warm up.
    """
    size, warmup = setting.options.batch, task.pick(5, 1)
    samples = [data[number] for number in range(len(data) // size * size)]
    groups = [samples[start : start + size] for start in range(0, len(samples), size)]
    batches = [batches_of(group, size, joins=setting.joins) for group in groups]
    on_gpu = task.device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    losses: list[float] = []
    watch = Stopwatch()
    for number in range(warmup + task.pick(40, 2)):
        if number == warmup:
            watch.lap()
        # The loss is read from the device in each step, which waits for it.
        losses.append(take_step(setting, state, batches[number % len(batches)]))
    seconds = watch.lap()
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    return losses, {
        "steps_per_s": (len(losses) - warmup) / seconds, "first_loss": losses[0],
        "last_loss": losses[-1], "peak_bytes": peak,
    }  # fmt: skip


if __name__ == "__main__":
    run(work)
