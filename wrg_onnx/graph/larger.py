"""Larger sizes for what the file leaves open: which axes vary with the inputs, and which do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wrg_onnx.graph.guess import Role, axis_key, axis_roles
from wrg_onnx.graph.model import Shape, Value


def other_sizes(inputs: Sequence[Value], shapes: Mapping[str, Shape]) -> dict[str, Shape] | None:
    """Choose larger sizes for every axis that the file leaves open.

    Args:
        inputs: The graph's inputs.
        shapes: A concrete shape per input.

    Returns:
        One more for axis 0 and for other axes that count samples, 64 more for a side of 64 or
        above, 8 more elsewhere; the same symbol has the same size everywhere. None if every axis is
        fixed.
    """
    return next(other_guesses(inputs, shapes), None)


def other_guesses(
    inputs: Sequence[Value], shapes: Mapping[str, Shape]
) -> Iterator[dict[str, Shape]]:
    """Yield larger sizes to try: what ``other_sizes`` gives, then less and less that is larger.

    Args:
        inputs: The graph's inputs.
        shapes: A concrete shape per input.

    Yields:
        All that is open is larger; then all but what is 1 and counts no samples, such as states
        that are spread to whatever they meet; then without the batch; then the batch alone.
    """
    kinds = ((True, True, True), (True, True, False), (False, True, False), (True, False, False))
    seen = [dict(shapes)]
    for batch, rest, ones in kinds:
        others = _larger(inputs, shapes, batch=batch, rest=rest, ones=ones)
        if others not in seen:
            seen.append(others)
            yield others


def _larger(
    inputs: Sequence[Value], shapes: Mapping[str, Shape], *, batch: bool, rest: bool, ones: bool
) -> dict[str, Shape]:
    roles = axis_roles(inputs)
    chosen: dict[tuple[str, int], int] = {}
    others: dict[str, Shape] = {}
    for value in inputs:
        shape = shapes[value.name]
        dims = []
        own = value.shape if value.shape is not None else (None,) * len(shape)
        for axis, (dim, size) in enumerate(zip(own, shape, strict=True)):
            if isinstance(dim, int):
                dims.append(size)
                continue
            counts = roles.get(axis_key(value, axis, dim)) is Role.BATCH or axis == 0
            grows = batch if counts else rest and (ones or size > 1)
            larger = size + (1 if counts else 64 if size >= 64 else 8)
            made = larger if grows else size
            # One symbol has one size, but where the user gave it two.
            dims.append(chosen.setdefault((dim, size), made) if dim else made)
        others[value.name] = tuple(dims)
    return others
