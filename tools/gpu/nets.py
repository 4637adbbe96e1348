"""The nets that parts look at, with random weights that are the same in every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import wrg_onnx
from gpu.task import Task
from models.classifiers import VGG16, ResNet50
from models.vgg16_sod import VGG16SOD

SIZE, SMALL_SIZE = 224, 32
"""Pixels along each side; a CPU ranks maps as a GPU does up to 32 alone."""

RATIO = 0.6
"""Share of the parameters that is removed."""

BUILDERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "vgg16": (lambda: VGG16(size=SIZE), lambda: VGG16(width=8, size=SMALL_SIZE)),
    "resnet50": (ResNet50, lambda: ResNet50(width=8)),
    "vgg16_sod": (
        lambda: VGG16SOD(batch_norm=True),
        lambda: VGG16SOD(width=1 / 8, batch_norm=True),
    ),
}
"""Each at full width, and narrow."""


def size(task: Task) -> int:
    """Return the side of the images that a task's nets are fed."""
    return task.pick(SIZE, SMALL_SIZE)


def original(task: Task, name: str) -> Path:
    """Return the file of a net, which is written if no other part has done so."""
    path = task.folder / f"{name}.onnx"
    if not path.exists():
        torch.manual_seed(0)
        net = BUILDERS[name][task.small]().eval()
        wrg_onnx.export(net, path, input=(1, 3, size(task), size(task)), input_name="image")
    return path


def pruned(task: Task, name: str) -> Path:
    """Return the file of a net without its channels of the smallest weights, likewise."""
    path = task.folder / f"{name}.l1.onnx"
    if not path.exists():
        source = original(task, name)
        wrg_onnx.prune(source, path, ratio=RATIO, criterion="l1", recover="none", provider="cpu")
    return path
