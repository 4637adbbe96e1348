"""The shape of each input: from images, the user, or the first guess that the model runs at."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from wrg_onnx.channels import index_bounds, told_inputs
from wrg_onnx.data.preprocess import Preprocessing, Size, default_preprocessing, image_layout
from wrg_onnx.errors import DataError, MissingPackageError, ModelError, UsageError, one_line
from wrg_onnx.graph import (
    Array,
    Graph,
    Shape,
    Value,
    bind_sizes,
    check_run,
    contradictions,
    divide,
    draw_feeds,
    guesses,
    is_guessed,
    listed,
    open_session,
    partial_shapes,
    run_once,
)
from wrg_onnx.graph.capacity import check_fed
from wrg_onnx.graph.guess import Role, axis_key, axis_roles
from wrg_onnx.pipeline.config import DataOptions

MOST_SECONDS = 60.0
"""After this no further guess is tried."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is to be found out.

    Attributes:
        graph: The model.
        inputs: Its inputs, with what their readers tell and ``--size`` says.
        sizes: The sizes of symbols that ``--size`` says.
        given: What the user says.
    """

    graph: Graph
    inputs: tuple[Value, ...]
    sizes: Mapping[str, int]
    given: Mapping[str, Shape]


def concrete_shapes(graph: Graph, options: DataOptions) -> dict[str, Shape]:
    """Return the shape of each input that images, the user, or a guess gives it.

    Where a size is a guess, the model is run once at each of a few guesses, in a fixed order,
    until it does run. Without ONNX Runtime, or if that refuses the model whatever it is fed, the
    first guess is returned: who needs to run the model says why it does not.

    Args:
        graph: The model.
        options: Tells sizes and shapes that the file leaves open.

    Raises:
        ModelError: If an input is no tensor, has no rank, or has more values than memory is set
            aside for; if no guess runs, or a run does not end.
        UsageError: If an option contradicts the model's inputs.
    """
    for value in graph.inputs:
        if value.kind != "tensor":
            raise ModelError(
                f"'{graph.name}': input '{value.name}' is a {value.kind}, and only tensors can be "
                "fed: export the model with tensors as its inputs"
            )
    question = _question(graph, options)
    first = bind_sizes(question.inputs, sizes=question.sizes, given=question.given)
    check_fed(first, graph.name)
    if not is_guessed(question.inputs, question.given) or _is_plain(question, first):
        return first
    check_run(graph, first)
    try:
        run = _runner(graph)
    except (MissingPackageError, ModelError):
        return first
    return _first_that_runs(question, run)


def preprocessing_for(
    graph: Graph, shapes: Mapping[str, Shape], options: DataOptions
) -> Preprocessing | None:
    """Return how images are fed to a model, None if it does not take one.

    Args:
        graph: The model.
        shapes: The concrete shape of each input.
        options: Says what is not to be guessed.

    Raises:
        UsageError: If an option contradicts the model's input.
    """
    inputs = _told(graph, options)
    found = _preprocessing(inputs, options, None)
    if found is None:
        return None
    shape = shapes[found.input]
    height, width = shape[2:] if found.layout == "NCHW" else shape[1:3]
    return _preprocessing(inputs, options, (height, width))


def _preprocessing(
    inputs: Sequence[Value], options: DataOptions, size: Size | None
) -> Preprocessing | None:
    return default_preprocessing(
        inputs,
        size=size,
        scale=options.scale,
        mean=options.mean,
        std=options.std,
        order=options.order,
        layout=options.layout,
    )


def _told(graph: Graph, options: DataOptions) -> tuple[Value, ...]:
    """Fill in what readers tell of the inputs that the user says nothing of."""
    pairs = zip(graph.inputs, told_inputs(graph), strict=True)
    return tuple(value if value.name in options.shapes else told for value, told in pairs)


def _question(graph: Graph, options: DataOptions) -> _Question:
    """Put what is known together, and refuse a size that does not fit."""
    inputs = _told(graph, options)
    images = [value for value in inputs if image_layout(value) is not None]
    several = len(inputs) > 1 and bool(images)
    _preprocessing(inputs, options, None if several else options.size)
    if options.size is None:
        return _Question(graph, inputs, {}, options.shapes)
    named = [value.name for value in images if value.name in options.shapes]
    if len(named) == len(images):
        raise UsageError(f"size and shape both speak of '{named[0]}': give one of them")
    sizes: dict[str, int] = {}
    sized = {v.name: _sized(v, options.size, sizes) for v in images if v.name not in named}
    if all(value is None for value in sized.values()):
        names = ", ".join(f"'{v.name}' {listed(v.shape or ())}" for v in images)
        raise UsageError(f"size {listed(options.size)} does not fit the images {names}")
    found = tuple(sized.get(value.name) or value for value in inputs)
    return _Question(graph, found, sizes, options.shapes)


def _sized(value: Value, size: Size, sizes: dict[str, int]) -> Value | None:
    """Give an image its sides; None where the file has others. Notes the sizes of symbols."""
    layout = image_layout(value)
    assert layout is not None
    first = 2 if layout[0] == "NCHW" else 1
    shape = list(value.shape or ())
    for axis, side in enumerate(size, start=first):
        dim = shape[axis]
        if isinstance(dim, int) and dim != side:
            return None
        if isinstance(dim, str):
            sizes[dim] = side
        shape[axis] = side
    return replace(value, shape=tuple(shape))


def _is_plain(question: _Question, shapes: Mapping[str, Shape]) -> bool:
    """Tell whether an image alone is fed, and inference says that all shapes fit: no run is needed.

    It leaves open what does not fit, but for a Reshape, whose result it believes.
    """
    graph = question.graph
    if len(question.inputs) > 1 or image_layout(question.inputs[0]) is None:
        return False
    try:
        known = {**shapes, **partial_shapes(graph, shapes)}
    except ModelError:
        return False
    known |= {name: form.shape for name, form in graph.constants.forms.items()}
    if any(name and name not in known for node in graph.nodes for name in node.outputs):
        return False
    pairs = ((n.inputs[0], n.outputs[0]) for n in graph.nodes if n.op == "Reshape")
    return all(math.prod(known[before]) == math.prod(known[after]) for before, after in pairs)


class _Run(Protocol):
    """Runs the model once at some shapes, on random inputs, and gives up after some seconds."""

    def __call__(self, shapes: Mapping[str, Shape], seconds: float | None) -> object: ...


def _runner(graph: Graph) -> _Run:
    bounds, names = index_bounds(graph), [value.name for value in graph.outputs]

    def feeds(shapes: Mapping[str, Shape]) -> dict[str, Array]:
        return draw_feeds(graph, shapes, np.random.default_rng(0), bounds)

    if len(divide(graph, names)) > 1:  # its weights shall not all be in memory
        return lambda shapes, seconds: run_once(graph, feeds(shapes), names)  # noqa: ARG005
    session = open_session(graph, exact=True)
    return lambda shapes, seconds: session.run(feeds(shapes), seconds=seconds)


def _first_that_runs(question: _Question, run: _Run) -> dict[str, Shape]:
    failures: list[tuple[dict[str, Shape], DataError]] = []
    deadline = time.monotonic() + MOST_SECONDS
    for guess in _guesses(question):
        # The first one may take its time: it is what a model runs at nearly always.
        left = deadline - time.monotonic() if failures else None
        if left is not None and left <= 0:
            break
        try:
            run(guess, left)
        except DataError as error:
            failures.append((guess, error))
        else:
            return guess
    raise _refusal(question, failures)


def _guesses(question: _Question) -> Iterator[dict[str, Shape]]:
    """Yield guesses; the second is what the tensors tell that a state is added or joined to."""
    # Of these the file says nothing: states, whose sizes follow from those of other inputs.
    spread = {
        value.name
        for value in question.graph.inputs
        if value.shape and not any(isinstance(dim, int) for dim in value.shape)
    } - question.given.keys()
    plain = guesses(question.inputs, sizes=question.sizes, given=question.given, spread=spread)
    first = next(plain)
    yield first
    known = {name: shape for name, shape in first.items() if name not in spread}
    if spread and known:
        with suppress(ModelError):  # then nothing is told
            shapes = partial_shapes(question.graph, known)
            told = {value.name: value for value in told_inputs(question.graph, shapes)}
            inputs = [told[v.name] if v.name in spread else v for v in question.inputs]
            yield bind_sizes(inputs, given={**known, **question.given})
    yield from plain


def _refusal(
    question: _Question, failures: Sequence[tuple[dict[str, Shape], DataError]]
) -> ModelError:
    """Say what was tried, what came of it, and what would help."""
    first, error = failures[0]
    said = one_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
    tried = ", ".join(f"'{k}' {listed(v) or 'scalar'}" for k, v in first.items())
    more = len(failures) - 1
    where = f"{tried}{f', nor at {more} other guesses at its open sizes' if more else ''}"
    clash = contradictions(question.inputs, question.given)
    why = "".join(
        f"; the shapes given for {' and '.join(map(repr, names))} contradict each other in '{dim}'"
        for dim, names in clash.items()
    )
    options = " ".join(f"--shape {name}={shape}" for name, shape in _partly_known(question))
    help_ = f": give {options}" if options else ""
    integers = [v.name for v in question.graph.inputs if v.dtype.kind in "iu" and v.number is None]
    values = f"; --value {integers[0]}=NUMBER if it is no data" if integers else ""
    return ModelError(
        f"'{question.graph.name}' does not run at {where} ({said}){why}{help_}{values}"
    )


def _partly_known(question: _Question) -> Iterator[tuple[str, str]]:
    """Yield what is known of each input with sizes to guess, the rest by the file's symbols."""
    roles = axis_roles(question.inputs)
    for value in question.inputs:
        if value.name in question.given or not is_guessed([value], {}):
            continue
        dims = [
            str(dim)
            if isinstance(dim, int)
            else "1"
            if roles[axis_key(value, axis, dim)] is Role.BATCH
            else dim.upper()
            if dim and dim.isidentifier()
            else "?"
            for axis, dim in enumerate(value.shape or ())
        ]
        yield value.name, "x".join(dims)
