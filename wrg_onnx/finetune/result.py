"""What training hands back: the graph with its new weights, and what the twin computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from wrg_onnx.errors import StatisticsError
from wrg_onnx.finetune.options import Between, Finetuned
from wrg_onnx.finetune.prepare import Setting, trainable_twin
from wrg_onnx.finetune.state import TrainingState
from wrg_onnx.graph import Array, Edit, edited
from wrg_onnx.twin import Twin
from wrg_onnx.twin.batches import to_feed


def finetuned(
    setting: Setting, state: TrainingState, tried: tuple[Between, ...], chosen: Between | None
) -> Finetuned:
    """Return what the averaged weights of a run are, as a graph.

    Args:
        setting: What was trained, and how.
        state: How the run went; its averaged weights are the result.
        tried: The weights between start and end that were judged.
        chosen: Those of them that the averaged weights are; None for those of the last epoch.

    Raises:
        StatisticsError: If a running statistic does not fit the type that the file holds it in.
    """
    student, course, average = setting.graph, state.course, state.average
    if chosen is None:
        last = course.history[-1]
        best, chosen = last.epoch, Between(1.0, last.held_out_loss, last.held_out_max_f)
    else:
        best = course.tuned_epoch if chosen.share else 0
    return Finetuned(
        graph=edited(student, Edit(constants=_in_the_files_types(setting, average))),
        history=tuple(course.history),
        best_epoch=best,
        between=tried,
        chosen=chosen,
        objective=setting.objective.describe(),
        device=setting.device.type,
        notes=tuple(course.notes),
        # Seldom asked for, so it is built then.
        start=lambda feeds: run_twin(trainable_twin(student, setting.options).eval(), feeds),
        run=lambda feeds: run_twin(average.cpu(), feeds),
        is_half=bool(setting.half_weights),
    )


def _in_the_files_types(setting: Setting, twin: Twin) -> dict[str, Array]:
    """Return what was trained, each in the type that the file holds it in.

    Raises:
        StatisticsError: If a running statistic does not fit; weights were looked at before.
    """
    found = twin.trained_constants()
    for name in setting.half_weights & found.keys():
        with np.errstate(over="ignore"):  # told below
            found[name] = found[name].astype(np.float16)
        if not np.isfinite(found[name]).all():
            raise StatisticsError(
                f"what training made of '{name}' does not fit float16: lower --learning-rate, or "
                "leave --batch-norm frozen"
            )
    return found


def run_twin(twin: Twin, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Return what a twin computes, by output."""
    with torch.no_grad():
        values = twin({name: to_feed(array) for name, array in feeds.items()})
    return {name: value.numpy() for name, value in values.items()}
