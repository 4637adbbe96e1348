"""What a checkpoint must hold for its run to go on: what training itself could have left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Generator, Tensor

from wrg_onnx.finetune.checkpoint import of_part
from wrg_onnx.finetune.options import EpochResult, is_better
from wrg_onnx.finetune.prepare import Setting
from wrg_onnx.finetune.state import Course, TrainingState

_MOMENTS = ("exp_avg", "exp_avg_sq")


class UnsoundStateError(Exception):
    """A state is none that training could have left; the message says why, in some words."""


def check_sound(
    state: TrainingState, setting: Setting, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> None:
    """Refuse a state that this run could not have written; nothing is changed.

    Args:
        state: At its beginning.
        setting: What is trained, and how.
        tensors: As ``TrainingState.tensors`` returns them.
        values: As ``TrainingState.values`` returns them, sent through JSON.

    Raises:
        UnsoundStateError: If it is one.
    """
    _require(set(values) == set(state.values()), "it holds other things than a state")
    course = values["course"]
    _check_course(course, setting)
    _check_scales(values, state)
    _check_tensors(tensors, state, course["step"])


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise UnsoundStateError(what)


def _check_course(course: Any, setting: Setting) -> None:
    """Hold how far the run is against its options, and against itself."""
    options = setting.options
    _require(
        isinstance(course, dict) and set(course) == {one.name for one in fields(Course)},
        "it does not say how far the run is",
    )
    for name, most in (
        ("step", setting.steps),
        ("epoch", options.epochs),
        ("tuned_epoch", options.epochs),
        ("at_once", options.batch),
    ):
        _require(_is_count(course[name], 1, most), f"its {name} is {course[name]!r:.40}")
    steps = setting.steps // options.epochs
    _require(course["step"] == course["epoch"] * steps, "its steps do not fit its epochs")
    notes, history = course["notes"], course["history"]
    _require(
        isinstance(notes, list) and all(isinstance(one, str) for one in notes),
        "its notes are no texts",
    )
    _require(isinstance(history, list), "it has no history")
    results = [_result(one) for one in history]
    before = sum(not one.epoch for one in results)
    trained = list(range(1, course["epoch"] + 1))
    _require(
        before in (1, 2) and [one.epoch for one in results] == [0] * before + trained,
        "its history is not that of its epochs",
    )
    _check_best(results, course["tuned_epoch"])


def _result(plain: Any) -> EpochResult:
    """Return the result of an epoch."""
    _require(
        isinstance(plain, dict) and set(plain) == {one.name for one in fields(EpochResult)},
        "its history holds something else than epochs",
    )
    found = EpochResult(**plain)
    is_trained = _is_count(found.epoch, 1)
    _require(is_trained or _is_count(found.epoch, 0, 0), "its history has an epoch that is none")
    loss = found.training_loss
    _require((loss is not None) == is_trained, "a training loss is missing in its history")
    numbers = [found.held_out_loss, *([] if loss is None else [loss])]
    _require(all(map(_is_finite, numbers)), "a loss in its history is no finite number")
    largest_f = found.held_out_max_f
    _require(
        largest_f is None or (_is_finite(largest_f) and 0 <= largest_f <= 1),
        "an F-measure in its history is not in [0, 1]",
    )
    return found


def _check_best(results: list[EpochResult], tuned: int) -> None:
    """Hold what is said to be the best against the results."""
    best = waited = 0
    for number, result in enumerate(results):
        gains = all(is_better(result, done) for done in results[:number])
        waited = 0 if gains or not result.epoch else waited + 1
        alike = [done for done in results[:number] if bool(done.epoch) == bool(result.epoch)]
        if result.epoch and all(is_better(result, done) for done in alike):
            best = result.epoch
        is_said = _is_count(result.without_gain, 0) and result.without_gain == waited
        _require(is_said, "its history miscounts the epochs without a gain")
    _require(tuned == best, "it takes another epoch for the best than its history")


def _check_scales(values: Mapping[str, Any], state: TrainingState) -> None:
    sizes = values["sizes"]
    groups = state.optimizer.param_groups
    _require(
        isinstance(sizes, list)
        and len(sizes) == len(groups)
        and all(_is_finite(size) and size > 0 for size in sizes),
        "it does not hold a size of each weight",
    )
    scaler, own = values["scaler"], state.scaler.state_dict()
    _require(
        isinstance(scaler, dict)
        and set(scaler) == set(own)
        and all(_is_finite(value) and value >= 0 for value in scaler.values())
        and scaler.get("scale", 1) > 0,
        "it does not hold how losses are scaled",
    )


def _check_tensors(tensors: Mapping[str, Tensor], state: TrainingState, step: int) -> None:
    """Hold tensors against those that the run has itself, by name, type and shape."""
    weights = state.average.state_dict()
    expected = {"generator": state.generator.get_state(), "torch": torch.random.get_rng_state()}
    for part, found in (
        ("twin", state.twin.state_dict()),
        *((name, weights) for name in ("average", "start", "tuned")),
    ):
        expected |= {f"{part}/{name}": tensor for name, tensor in found.items()}
    moments = _expected_moments(of_part(tensors, "adamw"), state)
    expected |= {f"adamw/{name}": tensor for name, tensor in moments.items()}
    missing = sorted(set(expected) - set(tensors))
    _require(not missing, f"it lacks '{(missing or [''])[0]:.60}'")
    more = sorted(set(tensors) - set(expected))
    _require(not more, f"it holds '{(more or [''])[0]:.60}', which is no part of it")
    for name, own in expected.items():
        tensor = tensors[name]
        alike = tensor.dtype == own.dtype and tensor.shape == own.shape
        _require(alike, f"'{name:.60}' is of another type or shape")
        if tensor.is_floating_point():
            _require(bool(tensor.isfinite().all()), f"'{name:.60}' is not finite")
    for name, tensor in of_part(tensors, "adamw").items():
        if name.endswith("/exp_avg_sq"):
            _require(bool((tensor >= 0).all()), f"'adamw/{name}', a mean square, is negative")
        if name.endswith("/step"):
            count = float(tensor)
            _require(count in range(1, step + 1), f"'adamw/{name}' is {count:g} of {step}")
    for name in ("generator", "torch"):
        try:
            Generator().set_state(tensors[name])
        except RuntimeError as error:
            raise UnsoundStateError(f"'{name}' is no state of a generator") from error


def _expected_moments(held: Mapping[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
    """Return moments as the optimiser would have them, of the weights that had a gradient."""
    weights = [group["params"][0] for group in state.optimizer.param_groups]
    numbers = {name.partition("/")[0] for name in held}
    found: dict[str, Tensor] = {}
    for number, weight in enumerate(weights):
        if str(number) in numbers:
            found |= {f"{number}/{name}": weight for name in _MOMENTS}
            found[f"{number}/step"] = torch.zeros(())
    return found


def _is_count(value: Any, least: int, most: int | None = None) -> bool:
    return type(value) is int and value >= least and (most is None or value <= most)


def _is_finite(value: Any) -> bool:
    if type(value) is int:
        return abs(value) <= 2**53  # beyond it a float holds another number
    return type(value) is float and math.isfinite(value)
