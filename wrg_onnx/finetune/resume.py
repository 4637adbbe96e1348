"""From a trainer to a checkpoint and back."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wrg_onnx.finetune.checkpoint import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from wrg_onnx.finetune.options import CheckpointFile, EpochResult, FinetuneOptions
from wrg_onnx.finetune.train import Course, Trainer
from wrg_onnx.graph import Graph, digest, fingerprint
from wrg_onnx.rewrite.kept import KeptChannels

_NO_MATTER = ("checkpoint", "cache_bytes", "device", "workers")
"""Options that a run may change when it goes on. Of the device it counts what was resolved to."""


def identity(trainer: Trainer, teacher: Graph | None) -> dict[str, Any]:
    """Say what a run must have in common with one that it goes on from.

    Raises:
        DataError: If a sample cannot be read.
    """
    setting = trainer.setting
    return {
        "model": fingerprint(setting.graph),
        "teacher": None if teacher is None else fingerprint(teacher),
        "channels of the teacher": _channels(setting.kept),
        "training samples": len(setting.data.training),
        "held-out samples": len(setting.data.held_out),
        "data": digest(*trainer.describe_samples()),
        "preprocessing": digest(setting.data.preprocessing),
        "saliency map": digest(setting.data.saliency),
        "device": setting.device.type,
        **_plain(setting.options),
    }


def store(trainer: Trainer, file: CheckpointFile, run: Mapping[str, Any]) -> None:
    """Write the state of a run.

    Raises:
        OutputError: If it cannot be written.
    """
    tensors: dict[str, Tensor] = {
        "generator": trainer.generator.get_state(),
        "torch": torch.random.get_rng_state(),
    }
    for kind, weights in (
        ("twin", trainer.twin.state_dict()),
        ("average", trainer.average.state_dict()),
        ("best", trainer.best),
    ):
        tensors.update((f"{kind}/{name}", tensor) for name, tensor in weights.items())
    for index, moments in trainer.optimizer.state_dict()["state"].items():
        tensors.update((f"adamw/{index}/{name}", tensor) for name, tensor in moments.items())
    state = {
        "course": dataclasses.asdict(trainer.course),
        "scaler": trainer.scaler.state_dict(),
        "sizes": trainer.sizes,
    }
    write_checkpoint(file.path, Checkpoint(run, state, tensors))


def restore(trainer: Trainer, file: CheckpointFile, run: Mapping[str, Any]) -> None:
    """Bring a trainer to where a checkpoint was written.

    Raises:
        DataError: If the file cannot be read, or is no checkpoint.
        UsageError: If it is of another run.
    """
    found = read_checkpoint(file.path, run)
    tensors = found.tensors
    trainer.twin.load_state_dict(_part(tensors, "twin/"))
    trainer.average.load_state_dict(_part(tensors, "average/"))
    device = trainer.setting.device
    trainer.best = {name: t.to(device) for name, t in _part(tensors, "best/").items()}
    adamw = trainer.optimizer.state_dict()
    adamw["state"] = {}
    for key, tensor in _part(tensors, "adamw/").items():
        index, _, name = key.partition("/")
        adamw["state"].setdefault(int(index), {})[name] = tensor
    trainer.optimizer.load_state_dict(adamw)
    trainer.sizes = found.state["sizes"]
    trainer.scaler.load_state_dict(found.state["scaler"])
    trainer.generator.set_state(tensors["generator"])
    torch.random.set_rng_state(tensors["torch"])
    course = dict(found.state["course"])
    course["history"] = [EpochResult(**result) for result in course["history"]]
    trainer.course = Course(**course)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _plain(options: FinetuneOptions) -> dict[str, Any]:
    return {
        field.name.replace("_", "-"): value.value if isinstance(value, enum.Enum) else value
        for field in dataclasses.fields(options)
        if field.name not in _NO_MATTER
        for value in [getattr(options, field.name)]
    }


def _channels(kept: Mapping[str, KeptChannels]) -> str:
    return digest(
        *((n, kept[n].axis, kept[n].total, kept[n].positions.tobytes()) for n in sorted(kept))
    )
