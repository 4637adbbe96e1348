"""Translation validation: the pruned graph computes what the masked original computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wrg_onnx.channels import random_feeds
from wrg_onnx.errors import ValidationError, WrgError
from wrg_onnx.graph import (
    KEYS,
    Array,
    Edit,
    Graph,
    Shape,
    as_widened,
    divide,
    edited,
    relative_difference,
    run_once,
)
from wrg_onnx.rewrite.plan import Plan
from wrg_onnx.rewrite.reference import Reference, run_again, run_masked, tells
from wrg_onnx.rewrite.rounding_steps import rounding_steps

TOLERANCE = 1e-4
"""Largest relative difference that float32 rounding explains in an ordinary network."""

TOLERANCE_16_BIT = 1e-2
"""The same for float16: ten of its rounding steps (9.8e-4); 1e-4 is below a single one."""

ROUNDING_FACTOR = 2
"""How often the measured rounding a difference may be. A single wrong channel of agllnet differs by
5 times its rounding, so a wider factor would soon hide a broken surgery."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The result of a translation validation that passed.

    Attributes:
        error: The largest difference of any element, relative to its tensor's largest value.
        tolerance: What it was held against.
        tensors: How many tensors were compared: the outputs, and the last layer and small ones.
            A tensor that is constant or nowhere finite says nothing and does not count.
        silent: Outputs that say nothing; the proof then rests on the layers before them.
        rounding: How far the masked original is from itself when ONNX Runtime optimises it, or when
            its input moves by a rounding step, at the tensor with the largest error; None where no
            error exceeded the tolerance.
        sizes: At how many input sizes they were compared.
        branches: In how many further runs each If was made to take one branch: 2 where both ran.
        steps: How many rounding steps between layers were left out of both models, because they
            turn a difference of one rounding into one that hides others; 0 where none did.
        parts: In how many parts both models were run, because their weights are large.
        layers: How many layers were compared by themselves, on what the original computes before
            them, because rounding grows from layer to layer; 0 where it does not.
        norms: How many nodes take their statistics over the channels that are left, in both.
        moved: How far that alone moves the outputs of the masked original, as a share of their
            norm, on the random input.
        widened: Whether both models were run in float32 where they hold bfloat16, because ONNX
            Runtime does not run that.
    """

    error: float
    tolerance: float
    tensors: int
    silent: tuple[str, ...] = ()
    rounding: float | None = None
    sizes: int = 1
    branches: int = 0
    steps: int = 0
    layers: int = 0
    parts: int = 1
    norms: int = 0
    moved: float = 0.0
    widened: bool = False


def combine(found: Sequence[Equivalence]) -> Equivalence:
    """Join the results of several runs: the worst error, and the tensors of the first."""
    worst = max(found, key=lambda one: one.error)
    return replace(
        found[0],
        error=worst.error,
        rounding=worst.rounding,
        sizes=sum(one.sizes for one in found),
        branches=sum(one.branches for one in found),
        steps=max(one.steps for one in found),
        layers=max(one.layers for one in found),
        parts=max(one.parts for one in found),
        moved=max(one.moved for one in found),
    )


def check_folding(original: Graph, folded: Graph, input_shapes: Mapping[str, Shape]) -> None:
    """Hold a model whose constants were computed against the file, on a random input.

    All that is proven of a cut is proven against the folded model.

    Args:
        original: The model as the file has it; it is run in the types that the other one is run in.
        folded: The same with what depends on no input computed, and branches laid flat.
        input_shapes: A concrete shape per input.

    Raises:
        ValidationError: If an output differs by more than rounding.
    """
    original = as_widened(original) if folded.widened else original
    feeds = random_feeds(original, input_shapes, np.random.default_rng(0))
    names = [value.name for value in original.outputs]
    expected, found = run_once(original, feeds, names), run_once(folded, feeds, names)
    for name, values in expected.items():
        error = _difference(name, values, found[name])
        if not error <= _tolerance(values):
            raise _failure(
                f"'{name}' differs by {error:.2g} from the file once its constants are computed",
                error,
            )


def worst_of(first: Equivalence, second: Equivalence) -> Equivalence:
    """Choose, of the proofs of two cuts, the one with the larger error, and the larger move."""
    worst = second if second.error > first.error else first
    norms, moved = max(first.norms, second.norms), max(first.moved, second.moved)
    return replace(worst, norms=norms, moved=moved)


def validate_translation(
    graph: Graph, pruned: Graph, plan: Plan, input_shapes: Mapping[str, Shape], *, seed: int = 0
) -> Equivalence:
    """Run the masked original and the pruned graph in ONNX Runtime on a random input, and compare.

    Besides the outputs, which a saturated sigmoid may hold at 0 or 1 whatever is before it, the
    layers are compared, the last one and as many small ones as a bound allows: the pruned graph's
    must be the kept channels of the original's. Both graphs run unoptimised, on the CPU.

    Args:
        graph: The original model.
        pruned: What ``apply_plan`` made of it.
        plan: The plan between them.
        input_shapes: A concrete shape per input.
        seed: Seed of the random input.

    Returns:
        The measured difference.

    Raises:
        ValidationError: If a tensor differs in shape, by more than rounding, or is not finite where
            the original's is, or if the pruned graph does not run.
    """
    return compare_with(run_masked(graph, plan, input_shapes, seed=seed), pruned)


def compare_with(reference: Reference, pruned: Graph) -> Equivalence:
    """Run the pruned graph on the input of the masked original, and compare.

    Where they differ and the network rounds to integers between layers, both run once more without
    those steps: a right surgery then differs by float rounding alone, a wrong one does not. Where
    they still differ, each layer of the pruned graph is compared by itself, on what the original
    computes before it: rounding cannot grow then, and the layers are right together if each is.

    Args:
        reference: From ``run_masked``.
        pruned: What ``apply_plan`` made of the original.

    Raises:
        ValidationError: As ``validate_translation``.
    """
    found = _differences(reference, pruned)
    steps = rounding_steps(reference.plan.units)
    if not reference.bypassed and steps and _exceeded(reference, found):
        reference = run_again(replace(reference, bypassed=steps))
        pruned = edited(pruned, Edit(bypassed=steps))
        found = _differences(reference, pruned)
    if _exceeded(reference, found):
        reference = run_again(reference, by_layer=True)
        found = _differences(reference, pruned)
    return _judged(reference, found)


def _differences(reference: Reference, pruned: Graph) -> dict[str, float]:
    """Measure how far each tensor of the pruned graph is from the reference."""
    try:
        treated = reference.treat(pruned)
        found = run_once(treated, reference.feeds, reference.asked)
    except WrgError as cause:
        raise _failure(f"the pruned model does not run: {cause}", float("inf")) from cause
    odd = sorted(reference.values.keys() ^ found.keys())  # a sequence has more elements in one
    if odd:
        one, other = ("lacks", "has") if odd[0] in reference.values else ("has", "lacks")
        what = f"the pruned model {one} '{odd[0]}', which the masked original {other}"
        raise _failure(what, float("inf"))
    return {name: _difference(name, v, found[name]) for name, v in reference.values.items()}


def _exceeded(reference: Reference, errors: Mapping[str, float]) -> bool:
    return any(error > _tolerance(reference.values[name]) for name, error in errors.items())


def _judged(reference: Reference, errors: Mapping[str, float]) -> Equivalence:
    """Hold each difference against the tolerance, and against rounding where it is larger."""
    worst, bound = 0.0, 0.0
    rounding: float | None = None
    telling = [
        name
        for name, values in reference.values.items()
        if tells(values) and not name.endswith(KEYS)  # a map's keys are written in the file
    ]
    if not telling:
        raise _failure(
            "no output and no layer of the original is finite and not constant on a random input, "
            "so nothing can be compared",
            float("inf"),
        )
    for name, error in errors.items():
        tolerance = _tolerance(reference.values[name])
        bound = max(bound, tolerance)
        if error > tolerance:
            # Measured only here: it takes two more runs of the original.
            noise = _rounding(reference, name)
            if not error <= ROUNDING_FACTOR * noise < float("inf"):
                raise _failure(
                    f"'{name}' differs by {error:.2g} from the masked original, of which rounding "
                    f"explains {ROUNDING_FACTOR} x {noise:.2g} (tolerance {tolerance:g})",
                    error,
                )
            rounding = noise if error >= worst else rounding
        worst = max(worst, error)
    outputs = sorted(value.name for value in reference.graph.outputs)
    bypassed = reference.bypassed
    origin = reference.origins
    told = {origin[name] for name in telling}
    silent = tuple(name for name in outputs if bypassed.get(name, name) not in told)
    forced = int(reference.branch is not None)
    return Equivalence(
        error=worst,
        tolerance=bound,
        tensors=len(telling),
        silent=silent,
        rounding=rounding,
        sizes=1 - forced,
        branches=forced,
        steps=len(bypassed),
        layers=len(reference.given),
        norms=reference.norms,
        moved=reference.moved,
        parts=len(divide(reference.graph, reference.asked)),
        widened=reference.graph.widened,
    )


def _tolerance(values: Array) -> float:
    is_16_bit_float = values.dtype.kind == "f" and values.dtype.itemsize == 2
    return TOLERANCE_16_BIT if is_16_bit_float else TOLERANCE


def _difference(name: str, reference: Array, found: Array) -> float:
    """Return the largest difference relative to the largest value, infinite where one is a hole."""
    if reference.shape != found.shape:
        raise _failure(
            f"'{name}' has shape {list(found.shape)} in the pruned model, expected "
            f"{list(reference.shape)}",
            float("inf"),
        )
    if reference.dtype.kind != "f":
        return float(np.mean(reference != found)) if reference.size else 0.0
    # An infinity or NaN may stand in both, at the same places; numbers are compared elsewhere.
    finite = np.isfinite(reference)
    if not np.array_equal(finite, np.isfinite(found)):
        return float("inf")
    return relative_difference(reference[finite], found[finite])


def _rounding(reference: Reference, name: str) -> float:
    """Measure rounding: the masked original against itself.

    Once optimised by ONNX Runtime, once on an input moved by one part in four million. It is asked
    for only where the tolerance is exceeded: ONNX Runtime's sigmoid, for one, is exact to 2e-7
    absolutely, which is much beside outputs below 1e-3, and some networks amplify rounding.
    """
    masked = reference.masked()
    signs = np.random.default_rng(0)
    moved = {
        key: (array * (1 + signs.choice([-1, 1], array.shape) * 2.0**-22)).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for key, array in reference.feeds.items()
    }
    expected = reference.values[name]
    noise = 0.0
    asked = [name] if name in reference.asked else reference.asked
    for exact, feeds in ((False, reference.feeds), (True, moved)):
        again = run_once(masked, feeds, asked, exact=exact)
        noise = max(noise, _difference(name, expected, reference.kept(again)[name]))
    return noise


def _failure(what: str, error: float) -> ValidationError:
    return ValidationError(
        f"{what}; nothing was written: please report this model", error=error, tolerance=TOLERANCE
    )
