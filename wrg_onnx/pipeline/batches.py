"""The shapes of a model's inputs at other batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from wrg_onnx.graph import Shape, Value
from wrg_onnx.graph.guess import Role, axis_key, axis_roles


@dataclass(frozen=True, slots=True)
class Batch:
    """What a model is fed in one run.

    Attributes:
        samples: How many samples.
        shapes: The shape of each input.
        note: What of the batches that were asked for cannot be, and why; empty if nothing.
    """

    samples: int
    shapes: Mapping[str, Shape]
    note: str = ""


def batches_of(
    inputs: Sequence[Value],
    shapes: Mapping[str, Shape],
    given: Mapping[str, Shape],
    wanted: Sequence[int] | None,
) -> Iterator[Batch]:
    """Yield what the inputs are at each batch that is asked for.

    Args:
        inputs: The model's inputs.
        shapes: Their shapes, at a batch of 1 where that is open.
        given: Those that the user gives, batch included.
        wanted: The batches that are asked for; None for that of ``shapes``.
    """
    axes = [*_open_axes(inputs, given)]
    if wanted is not None and axes:
        for samples in dict.fromkeys(wanted):
            changed = {name: [*shape] for name, shape in shapes.items()}
            for name, axis in axes:
                changed[name][axis] = samples
            yield Batch(samples, {name: tuple(shape) for name, shape in changed.items()})
        return
    samples = _samples(inputs, shapes, axes)
    others = [batch for batch in wanted or () if batch != samples]
    note = ""
    if others:
        listed = " and ".join(map(str, dict.fromkeys(others)))
        note = (
            f"the batch of the inputs is fixed at {samples}, so that --batch {listed} was not "
            "measured"
        )
    yield Batch(samples, shapes, note)


def _open_axes(inputs: Sequence[Value], given: Mapping[str, Shape]) -> Iterator[tuple[str, int]]:
    """Yield the axes that count samples and may have any length."""
    roles = axis_roles(inputs)
    places = [
        (value, axis, axis_key(value, axis, dim))
        for value in inputs
        for axis, dim in enumerate(value.shape or ())
        if not isinstance(dim, int)
    ]
    # A row of numbers is no row of samples, unless a table's samples have the same symbol.
    counts = {
        key for value, _, key in places if roles[key] is Role.BATCH and len(value.shape or ()) > 1
    }
    fixed = {key for value, _, key in places if value.name in given}
    yield from ((value.name, axis) for value, axis, key in places if key in counts - fixed)


def _samples(
    inputs: Sequence[Value],
    shapes: Mapping[str, Shape],
    axes: Sequence[tuple[str, int]],
) -> int:
    """Return how many samples a run has: where nothing says which axis counts them, the first."""
    places = [*axes, *((value.name, 0) for value in inputs if len(shapes[value.name]) > 1)]
    return next((shapes[name][axis] for name, axis in places), 1)
