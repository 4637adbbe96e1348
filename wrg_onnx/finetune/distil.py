"""What the teacher computes, and how far the student is from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from wrg_onnx.errors import DataError
from wrg_onnx.graph import Graph
from wrg_onnx.rewrite.kept_channels import KeptChannels
from wrg_onnx.twin import Twin
from wrg_onnx.twin.batches import Batch

MOST_FEATURES = 12
"""How many feature maps are compared; more cost time and memory."""

_FLAT = 1e-12
"""A tensor whose variance is below this share of its mean square says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One tensor of the teacher that the student should compute.

    Attributes:
        name: The tensor's name in both.
        variance: The teacher's variance of it over training samples, above 0.
        kept: The channels that the student still has; None where it has all of them.
        positions: Those of ``kept`` as a tensor where the teacher computes; None where that is not
            needed.
    """

    name: str
    variance: float
    kept: KeptChannels | None = None
    positions: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A model to learn from.

    Attributes:
        twin: Does not train.
        outputs: Its float outputs.
        features: Feature maps inside it.
    """

    twin: Twin
    outputs: tuple[Target, ...]
    features: tuple[Target, ...]

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of the feature maps."""
        return tuple(target.name for target in self.features)

    @torch.no_grad()
    def answer(self, batch: Batch) -> dict[str, Tensor]:
        """Return the outputs and feature maps for a batch, by name."""
        return self.twin(batch.feeds, self.taps)  # type: ignore[no-any-return]


@torch.no_grad()
def fitting_channels(
    student: Twin, teacher: Twin, kept: Mapping[str, KeptChannels], batch: Batch
) -> dict[str, KeptChannels]:
    """Return those tensors of which the student makes what is left of the teacher's.

    A teacher that is not the model that was cut may lack one, or make it in another width.

    Args:
        student: The student's twin; it must not be training.
        teacher: The teacher's.
        kept: The channels that the student still has of the model that was cut, by tensor.
        batch: What both are fed to see the shapes: one sample does.
    """
    mine, theirs = (_shapes(twin, kept, batch) for twin in (student, teacher))
    return {
        name: one
        for name, one in kept.items()
        if name in mine and name in theirs and _fits(mine[name], theirs[name], one)
    }


def _shapes(twin: Twin, names: Iterable[str], batch: Batch) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors that a twin makes; none is held."""
    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, value: Tensor) -> Tensor:
        found[name] = tuple(value.shape)
        return value

    twin(batch.feeds, through={name: partial(note, name) for name in names})
    return found


def _fits(mine: tuple[int, ...], theirs: tuple[int, ...], kept: KeptChannels) -> bool:
    if kept.is_whole:
        return mine == theirs
    axis = kept.axis
    return (
        axis < len(theirs)
        and theirs[axis] == kept.total
        and mine == (*theirs[:axis], len(kept.positions), *theirs[axis + 1 :])
    )


def choose_features(student: Graph, kept: Mapping[str, KeptChannels]) -> tuple[str, ...]:
    """Choose feature maps to compare, spread evenly over the depth; the last one is among them.

    Axis 0 is the batch's, so a tensor with its channels there is no candidate.
    """
    usable = [
        name
        for node in student.nodes
        for name in node.outputs
        if name in kept and kept[name].axis > 0 and len(kept[name].positions)
    ]
    count = min(MOST_FEATURES, len(usable))
    # The last of each of `count` parts of equal length.
    return tuple(usable[(k + 1) * len(usable) // count - 1] for k in range(count))


def measure_targets(
    twin: Twin,
    outputs: Sequence[str],
    kept: Mapping[str, KeptChannels],
    batches: Sequence[Batch],
) -> Teacher:
    """Make a teacher of a twin: measure the variances that its tensors are compared by.

    Args:
        twin: The teacher's.
        outputs: The names of the outputs to compare, integers among them left out.
        kept: The feature maps to compare, with the channels to look at.
        batches: Training samples.

    Returns:
        The teacher. Tensors that hardly vary are left out.
    """
    names = [*outputs, *(name for name in kept if name not in outputs)]
    device = next(iter(batches[0].feeds.values())).device
    positions = {
        name: torch.tensor(one.positions, device=device)
        for name, one in kept.items()
        if not one.is_whole
    }
    # Of each tensor the sum of its values, of their squares, and their number.
    sums = {name: torch.zeros(3, dtype=torch.float64) for name in names}
    with torch.no_grad():
        for batch in batches:
            values = twin(batch.feeds, tuple(kept))
            for name in names:
                if values[name].is_floating_point():
                    value = _of_kept(values[name], kept.get(name), positions.get(name)).double()
                    sums[name] += torch.stack(
                        [value.sum(), value.square().sum(), torch.tensor(float(value.numel()))]
                    ).cpu()
    found = {}
    for name, (total, squares, count) in sums.items():
        if count:
            # var x = mean x^2 - (mean x)^2
            mean, square = total / count, squares / count
            found[name] = float(square - mean**2) if square - mean**2 > _FLAT * square else 0.0
    return Teacher(
        twin,
        tuple(Target(name, found[name]) for name in outputs if found.get(name)),
        tuple(
            Target(name, found[name], kept[name], positions.get(name))
            for name in kept
            if found.get(name)
        ),
    )


def distance(student: Tensor, teacher: Tensor, target: Target) -> Tensor:
    """Return the mean square difference of one tensor over the teacher's variance.

    Raises:
        DataError: If the shapes differ.
    """
    wanted = _of_kept(teacher, target.kept, target.positions)
    if student.shape != wanted.shape:
        raise DataError(
            f"'{target.name}' is {list(student.shape)} in the student and {list(wanted.shape)} in "
            "the teacher: the teacher must be the model that was pruned"
        )
    return (student.float() - wanted.float()).square().mean() / target.variance


def _of_kept(value: Tensor, kept: KeptChannels | None, positions: Tensor | None) -> Tensor:
    if kept is None or positions is None:
        return value
    if value.dim() <= kept.axis or value.shape[kept.axis] != kept.total:
        raise DataError(
            f"a feature map of the teacher is {list(value.shape)}, but the file was cut from one "
            f"with {kept.total} channels on axis {kept.axis}: the teacher must be the model that "
            "was pruned"
        )
    return value.index_select(kept.axis, positions)
