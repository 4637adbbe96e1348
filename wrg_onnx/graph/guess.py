"""Which sizes inputs get where the file leaves them open: a first guess, and what to try then.

Nothing here runs a model: guesses come in a fixed order, cheap ones first, and whoever asks tries
them. So what is chosen is the same on every machine.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from wrg_onnx.errors import ModelError
from wrg_onnx.graph.given import contradictions, given_symbols
from wrg_onnx.graph.model import Shape, Value

DEFAULT_IMAGE_SIZE = 224
DEFAULT_SIZE = 16

LENGTHS = (16, 1, 8, 32, 64, 128, 256, 512, 224, 1024)
"""What is tried for open axes: tokens, windows of sound, sides of images."""

SOUNDS = (1600, 8000, 16000)
"""The same for inputs of floats that are one row: 0.1, 0.5 and 1 s of sound at 16 kHz."""

SIDES = (224, 256, 32, 64, 128, 320, 384, 512, 640)
"""What is tried for the sides of images: nets halve them five times, so all are multiples of 32."""

MOST_GUESSES = 64
MOST_ELEMENTS = 1 << 23
"""What an input holds at most in a guess behind the first."""

_BATCH = re.compile(r"n|b|bs|bsz|nbatch|batch.*|.*_batch|.*_batch_?(size|dim)", re.IGNORECASE)
"""What exporters and people call the number of samples."""


class Role(enum.Enum):
    """What an open axis counts, as far as its place and its name tell."""

    BATCH = enum.auto()
    SIDE = enum.auto()
    LENGTH = enum.auto()


def bind_sizes(
    inputs: Sequence[Value],
    *,
    sizes: Mapping[str, int] | None = None,
    image_size: int | None = None,
    given: Mapping[str, Shape] | None = None,
) -> dict[str, Shape]:
    """Give every input a concrete shape: the first guess.

    Args:
        inputs: The graph's inputs.
        sizes: Sizes of named symbolic axes.
        image_size: Height and width of a rank-4 input that leaves them open; None for 224.
        given: Shapes of inputs by name; their sizes are those of the symbols they stand for.

    Returns:
        A shape per input: axes that count samples are 1 where they are open, height and width are
        ``image_size``, other open axes 16. The same symbol has the same size everywhere.

    Raises:
        ModelError: If an input has no rank.
        UsageError: If a given shape names no input, or does not fit its own.
    """
    shapes = dict(given or {})
    chosen = {**(sizes or {}), **given_symbols(inputs, shapes)}
    return _bound(inputs, _default_sizes(inputs, shapes, image_size), chosen, shapes)


def guesses(
    inputs: Sequence[Value],
    *,
    sizes: Mapping[str, int] | None = None,
    given: Mapping[str, Shape] | None = None,
    spread: Collection[str] = (),
) -> Iterator[dict[str, Shape]]:
    """Yield shapes to try, one after the other.

    Args:
        inputs: As for ``bind_sizes``.
        sizes: As for ``bind_sizes``.
        given: As for ``bind_sizes``.
        spread: Inputs of which the file says nothing but the rank: they may be spread to whatever
            they meet, and so be 1 on every axis.

    Yields:
        What ``bind_sizes`` gives, then others, each once, at most ``MOST_GUESSES``. None holds
        more than ``MOST_ELEMENTS`` elements but for the first.

    Raises:
        ModelError: As ``bind_sizes``.
        UsageError: As ``bind_sizes``.
    """
    shapes = dict(given or {})
    chosen = {**(sizes or {}), **given_symbols(inputs, shapes)}
    first = bind_sizes(inputs, sizes=sizes, given=given)
    yield first
    seen = [first]
    for guess in islice(_others(inputs, chosen, shapes, spread), 4 * MOST_GUESSES):
        if len(seen) == MOST_GUESSES:
            return
        fits = all(math.prod(shape) <= MOST_ELEMENTS for shape in guess.values())
        if fits and guess not in seen:
            seen.append(guess)
            yield guess


def is_guessed(inputs: Sequence[Value], given: Mapping[str, Shape]) -> bool:
    """Tell whether a shape is a guess: an axis is open that does not simply count samples.

    Args:
        inputs: The graph's inputs.
        given: The shapes of those that the user gives.
    """
    if contradictions(inputs, given):
        return True
    bound = given_symbols(inputs, given)
    for value in inputs:
        if value.name in given:
            continue
        for axis, dim in enumerate(value.shape or ()):
            counts = axis or len(value.shape or ()) == 1  # a row of numbers is no row of samples
            if not isinstance(dim, int) and counts and (dim is None or dim not in bound):
                return True
    return False


def axis_key(value: Value, axis: int, dim: str | None) -> str:
    """Return what an open axis is known by: its symbol, or a name of its own."""
    return dim or f"{value.name}\0{axis}"


def axis_roles(inputs: Sequence[Value]) -> dict[str, Role]:
    """Say what each open axis counts; of a symbol, where it stands first."""
    roles: dict[str, Role] = {}
    for value in inputs:
        for axis, dim in enumerate(value.shape or ()):
            if not isinstance(dim, int):
                roles.setdefault(axis_key(value, axis, dim), _role(value, axis, dim))
    return roles


def _role(value: Value, axis: int, dim: str | None) -> Role:
    if axis == 0 or (dim and _BATCH.fullmatch(dim)):
        return Role.BATCH
    # An image is (N, C, H, W), or (N, H, W, C) where only that leaves 1 or 3 channels.
    shape = value.shape or ()
    spatial = (2, 3) if len(shape) != 4 or shape[1] in (1, 3) or shape[3] not in (1, 3) else (1, 2)
    return Role.SIDE if len(shape) == 4 and axis in spatial else Role.LENGTH


def _default_sizes(
    inputs: Sequence[Value], given: Mapping[str, Shape], image_size: int | None = None
) -> dict[str, int]:
    for value in inputs:
        if value.shape is None and value.name not in given:
            raise ModelError(
                f"input '{value.name}' has no rank in the file, and nothing that reads it tells "
                f"one: export it with a rank, or give --shape {value.name}=AxB"
            )
    default = {
        Role.BATCH: 1,
        Role.SIDE: image_size or DEFAULT_IMAGE_SIZE,
        Role.LENGTH: DEFAULT_SIZE,
    }
    return {key: default[role] for key, role in axis_roles(inputs).items()}


def _bound(
    inputs: Sequence[Value],
    sizes: Mapping[str, int],
    chosen: Mapping[str, int],
    given: Mapping[str, Shape],
) -> dict[str, Shape]:
    """Put sizes by key in, those of symbols that are chosen before all others."""
    table = {**sizes, **chosen}
    return {
        value.name: given[value.name]
        if value.name in given
        else tuple(
            dim if isinstance(dim, int) else table[axis_key(value, axis, dim)]
            for axis, dim in enumerate(value.shape or ())
        )
        for value in inputs
    }


def _others(
    inputs: Sequence[Value],
    chosen: Mapping[str, int],
    given: Mapping[str, Shape],
    spread: Collection[str],
) -> Iterator[dict[str, Shape]]:
    """Yield guesses behind the first, some of them twice."""
    roles = axis_roles([value for value in inputs if value.name not in given])
    free = {key: role for key, role in roles.items() if key not in chosen}
    default = _default_sizes(inputs, given)
    lengths = [key for key, role in free.items() if role is Role.LENGTH]
    sides = [key for key, role in free.items() if role is Role.SIDE]

    def guess(changes: Mapping[str, int]) -> dict[str, Shape]:
        return _bound(inputs, {**default, **changes}, chosen, given)

    # Whatever their symbols say: some exporters call all heights by one name.
    if spread and len(spread) < len(inputs):
        yield {**guess({}), **{v.name: _ones(v) for v in inputs if v.name in spread}}
    # A single one that stands for the batch, or for one step.
    if len(lengths) > 1:
        yield from (guess({key: 1}) for key in lengths)
    # All that is open is alike.
    for size in LENGTHS:
        yield guess(dict.fromkeys(lengths, size))
    for size in SIDES:
        yield guess(dict.fromkeys(sides, size))
    for size in SOUNDS:
        yield guess(dict.fromkeys(_rows(inputs, lengths), size))
    # One differs from the rest, which is as it was, or 1.
    for rest in (DEFAULT_SIZE, 1) if len(lengths) > 1 else ():
        for size in LENGTHS[1:]:
            yield from (guess({**dict.fromkeys(lengths, rest), key: size}) for key in lengths)
    # What was taken for the batch is a length after all.
    batches = [key for key, role in free.items() if role is Role.BATCH]
    for size in LENGTHS:
        yield guess(dict.fromkeys([*batches, *lengths], size))


def _ones(value: Value) -> Shape:
    return tuple(dim if isinstance(dim, int) else 1 for dim in value.shape or ())


def _rows(inputs: Sequence[Value], lengths: Sequence[str]) -> list[str]:
    """Return the axes that may count samples of sound: those of inputs with one long axis."""
    found = []
    for value in inputs:
        keys = [
            axis_key(value, a, d) for a, d in enumerate(value.shape or ()) if not isinstance(d, int)
        ]
        rest = [dim for dim in value.shape or () if isinstance(dim, int)]
        long = [key for key in keys if key in lengths]
        if value.dtype.kind == "f" and len(long) == 1 and math.prod(rest) == 1:
            found += long
    return found
