"""Translation validation: the pruned graph computes what the masked original computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wrg_onnx.channels import random_feeds
from wrg_onnx.errors import WrgError
from wrg_onnx.graph import KEYS, Edit, Graph, Shape, as_widened, divide, edited, run_once
from wrg_onnx.rewrite.reference import Reference, run_again, tells
from wrg_onnx.rewrite.rounding_steps import rounding_steps
from wrg_onnx.rewrite.tolerance import difference_of, failure, tolerance_of

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
            A tensor that is constant or nowhere finite says nothing and does not count; 0 where all
            are, so that there was nothing to prove.
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
        quiet: The nodes that the cut changed and that read nothing but zeros, or the same
            everywhere, whatever input was tried: runs of the whole model say nothing of them.
        tried: How many further inputs were tried because of that.
        changed: How many nodes of the main graph the cut changed.
        alone: How many of them were compared by themselves, on values drawn for what they read.
        unexercised: Those that were not, and of which some channel, or all, shows nothing in any
            run: nothing shows that they are right.
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
    quiet: tuple[str, ...] = ()
    tried: int = 0
    changed: int = 0
    alone: int = 0
    unexercised: tuple[str, ...] = ()


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
        error = difference_of(name, values, found[name])
        if not error <= tolerance_of(values):
            raise failure(
                f"'{name}' differs by {error:.2g} from the file once its constants are computed",
                error,
            )


def worst_of(first: Equivalence, second: Equivalence) -> Equivalence:
    """Choose, of the proofs of two cuts, the one with the larger error, and the larger move."""
    worst = second if second.error > first.error else first
    return replace(
        worst,
        norms=max(first.norms, second.norms),
        moved=max(first.moved, second.moved),
        tensors=min(first.tensors, second.tensors),
        quiet=_joined(first.quiet, second.quiet),
        tried=max(first.tried, second.tried),
        alone=max(first.alone, second.alone),
        unexercised=_joined(first.unexercised, second.unexercised),
    )


def _joined(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


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
        ValidationError: If a tensor differs in shape, by more than rounding, or is not finite where
            the original's is, or if the pruned graph does not run.
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
        raise failure(f"the pruned model does not run: {cause}", float("inf")) from cause
    odd = sorted(reference.values.keys() ^ found.keys())  # a sequence has more elements in one
    if odd:
        one, other = ("lacks", "has") if odd[0] in reference.values else ("has", "lacks")
        what = f"the pruned model {one} '{odd[0]}', which the masked original {other}"
        raise failure(what, float("inf"))
    return {name: difference_of(name, v, found[name]) for name, v in reference.values.items()}


def _exceeded(reference: Reference, errors: Mapping[str, float]) -> bool:
    return any(error > tolerance_of(reference.values[name]) for name, error in errors.items())


def _judged(reference: Reference, errors: Mapping[str, float]) -> Equivalence:
    """Hold each difference against the tolerance, and against rounding where it is larger."""
    worst, bound = 0.0, 0.0
    rounding: float | None = None
    telling = [
        name
        for name, values in reference.values.items()
        if tells(values) and not name.endswith(KEYS)  # a map's keys are written in the file
    ]
    for name, error in errors.items():
        tolerance = tolerance_of(reference.values[name])
        bound = max(bound, tolerance)
        if error > tolerance:
            # Measured only here: it takes two more runs of the original.
            noise = _rounding(reference, name)
            if not error <= ROUNDING_FACTOR * noise < float("inf"):
                raise failure(
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
        noise = max(noise, difference_of(name, expected, reference.kept(again)[name]))
    return noise
