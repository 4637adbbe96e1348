"""Going on from a checkpoint: what makes two runs the same one, and how its state is kept."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from typing import Any

from wrg_onnx.finetune.checkpoint import Checkpoint, damage, read_checkpoint, write_checkpoint
from wrg_onnx.finetune.options import CheckpointFile, FinetuneOptions
from wrg_onnx.finetune.prepare import Setting
from wrg_onnx.finetune.sound import UnsoundStateError, check_sound
from wrg_onnx.finetune.state import TrainingState
from wrg_onnx.graph import Graph, digest, fingerprint
from wrg_onnx.rewrite.kept_channels import KeptChannels

_NO_MATTER = ("checkpoint", "cache_bytes", "device", "workers")
"""Options that a run may change when it goes on. Of the device it counts what was resolved to."""


def describe_run(
    setting: Setting, teacher: Graph | None, samples: Iterable[tuple[str, bool]]
) -> dict[str, Any]:
    """Say what a run must have in common with one that it goes on from.

    Args:
        setting: What is trained, and how.
        teacher: What is learned from; None for nothing.
        samples: The name of each training and held-out sample, and whether it has a mask.

    Returns:
        By name: numbers, texts, booleans and None.
    """
    return {
        "model": fingerprint(setting.graph),
        "teacher": None if teacher is None else fingerprint(teacher),
        "channels of the teacher": _channels(setting.kept),
        "training samples": len(setting.data.training),
        "held-out samples": len(setting.data.held_out),
        "data": digest(*samples),
        "preprocessing": digest(setting.data.preprocessing),
        "saliency map": digest(setting.data.saliency),
        "device": setting.device.type,
        **_plain(setting.options),
        "loss": None if setting.objective.own is None else setting.objective.own.spec,
    }


def store(state: TrainingState, file: CheckpointFile, run: Mapping[str, Any]) -> None:
    """Write the state of a run.

    Args:
        state: The state.
        file: Where to.
        run: From ``describe_run``.

    Raises:
        OutputError: If it cannot be written.
    """
    write_checkpoint(file.path, Checkpoint(run, state.values(), state.tensors()))


def restore(
    state: TrainingState, setting: Setting, file: CheckpointFile, run: Mapping[str, Any]
) -> None:
    """Bring a state to where a checkpoint was written.

    Args:
        state: Changed in place, once all that is read is known to be sound.
        setting: What is trained, and how.
        file: Where from.
        run: From ``describe_run``, of the run that goes on.

    Raises:
        DataError: If the file cannot be read, is no checkpoint, or a damaged one.
        UsageError: If it is of another run.
    """
    found = read_checkpoint(file.path, run)
    try:
        check_sound(state, setting, found.tensors, found.state)
    except UnsoundStateError as error:
        raise damage(file.path, str(error)) from error
    state.load(found.tensors, found.state)


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
