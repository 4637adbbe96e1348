"""From statistics to a unit's score: higher means keep. A criterion is a product of factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.factors import (
    ACTIVATION,
    BATCH_SCALE,
    DISTANCE,
    GRADIENT,
    L1,
    L2,
    RANK,
    WEIGHT,
    Factor,
    Float64Array,
    Statistics,
)
from wrg_onnx.select.scaling import per_unit


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Criterion:
    """A formula from statistics to saliency. ``Criterion(name)`` finds the one of a name.

    There is one of each, so ``is`` compares them, as with the members of an enum; but
    ``register_criterion`` adds others.

    ``SEL`` is the salient energy level: the product of the factors W, R and G. Its parts are
    criteria of their own, so that a user sees what each buys. The others are baselines: ``L1`` and
    ``L2``, norms of filters; ``FPGM``, a filter's distances to the others of its layer; ``ACT``,
    mean activation; ``BN``, the scale of the batch normalisation behind it; ``RANDOM``, which looks
    at nothing. ``REPAIR`` asks what remains lost once the rest has made up for a unit
    (``repair_order``), and ``SEL_REPAIR`` multiplies that by SEL. A criterion has what papers call
    it for other names: ``Criterion("hrank")`` is ``Criterion.R``, and ``Criterion("taylor")`` is
    ``Criterion.G``.

    Attributes:
        name: What commands and reports call it.
        factors: What is multiplied; without any the scores are random.
        other_names: Further names that find it.
        repairs: Whether units go in the order in which the rest can make up for them.

    Raises:
        ValueError: If there is none of that name.
    """

    name: str
    factors: tuple[Factor, ...]
    other_names: tuple[str, ...]
    repairs: bool

    SEL: ClassVar[Criterion]
    W: ClassVar[Criterion]
    R: ClassVar[Criterion]
    G: ClassVar[Criterion]
    WR: ClassVar[Criterion]
    WG: ClassVar[Criterion]
    RG: ClassVar[Criterion]
    L1: ClassVar[Criterion]
    L2: ClassVar[Criterion]
    FPGM: ClassVar[Criterion]
    ACT: ClassVar[Criterion]
    BN: ClassVar[Criterion]
    RANDOM: ClassVar[Criterion]
    REPAIR: ClassVar[Criterion]
    SEL_REPAIR: ClassVar[Criterion]

    def __new__(cls, name: str) -> Criterion:  # noqa: PYI034 - finds one, makes none
        """Find the criterion of a name, or another name of it."""
        for criterion in all_criteria():
            if name == criterion.name or name in criterion.other_names:
                return criterion
        raise ValueError(f"{name!r} is not a valid Criterion")

    def __reduce__(self) -> tuple[type[Criterion], tuple[str]]:
        """Have copies and pickles be the one of this name."""
        return Criterion, (self.name,)

    @property
    def needs_maps(self) -> bool:
        """Whether feature maps must be looked at."""
        return any(factor.source.needs_maps for factor in self.factors)

    @property
    def needs_gradient(self) -> bool:
        """Whether a backward pass is needed."""
        return any(factor.source.needs_gradient for factor in self.factors)

    @property
    def needs_data(self) -> bool:
        """Whether images are needed at all."""
        return self.repairs or any(factor.source.needs_data for factor in self.factors)


_REGISTERED: list[Criterion] = []


def all_criteria() -> tuple[Criterion, ...]:
    """List the criteria in the order in which they were registered, ours first.

    All that looks for one comes by here, so this is the place where those that other packages bring
    along will be imported, once there is an entry point for them.
    """
    return tuple(_REGISTERED)


def criterion_names() -> tuple[str, ...]:
    """List all names that ``Criterion`` finds: first the criteria's own, then the other ones."""
    known = all_criteria()
    others = (other for criterion in known for other in criterion.other_names)
    return (*(criterion.name for criterion in known), *others)


def register_criterion(
    name: str,
    factors: Sequence[Factor],
    *,
    other_names: Sequence[str] = (),
    repairs: bool = False,
) -> Criterion:
    """Add a criterion: ``Criterion`` finds it, and ``--criterion`` takes it.

    Args:
        name: What commands and reports call it.
        factors: What is multiplied: ours, or what ``calibrate.map_factor`` or
            ``calibrate.weights_factor`` gave; without any the scores are random, or what
            ``repairs`` gives.
        other_names: Further names that find it.
        repairs: Whether what remains lost after repair is multiplied by the factors.

    Returns:
        The criterion.

    Raises:
        ValueError: If there is one of these names.
    """
    for taken in (name, *other_names):
        if taken in criterion_names():
            raise ValueError(f"there is a criterion '{taken}' already")
    criterion = object.__new__(Criterion)
    fields = {
        "name": name, "factors": tuple(factors), "other_names": tuple(other_names),
        "repairs": repairs,
    }  # fmt: skip
    for field, value in fields.items():
        object.__setattr__(criterion, field, value)  # frozen from now on
    _REGISTERED.append(criterion)
    return criterion


Criterion.SEL = register_criterion("sel", (WEIGHT, RANK, GRADIENT))
Criterion.W = register_criterion("w", (WEIGHT,))
Criterion.R = register_criterion("r", (RANK,), other_names=("hrank",))
Criterion.G = register_criterion("g", (GRADIENT,), other_names=("taylor",))
Criterion.WR = register_criterion("wr", (WEIGHT, RANK))
Criterion.WG = register_criterion("wg", (WEIGHT, GRADIENT))
Criterion.RG = register_criterion("rg", (RANK, GRADIENT))
Criterion.L1 = register_criterion("l1", (L1,))
Criterion.L2 = register_criterion("l2", (L2,))
Criterion.FPGM = register_criterion("fpgm", (DISTANCE,))
Criterion.ACT = register_criterion("act", (ACTIVATION,))
Criterion.BN = register_criterion("bn", (BATCH_SCALE,))
Criterion.RANDOM = register_criterion("random", ())
Criterion.REPAIR = register_criterion("repair", (), repairs=True)
Criterion.SEL_REPAIR = register_criterion("sel-repair", (WEIGHT, RANK, GRADIENT), repairs=True)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """A score per unit.

    Attributes:
        values: (units,) float64, higher = keep.
        unmeasured: (units,) bool, units for which a factor was missing and taken as the mean.
    """

    values: Float64Array
    unmeasured: NDArray[np.bool_]


def score(
    criterion: Criterion, statistics: Statistics, count: int, rng: np.random.Generator
) -> Scores:
    """Score all units.

    SEL of a channel is ``W * R * G``, each factor divided by its geometric mean over the layer; a
    unit that spans several layers has the mean of their values. W is the L2 norm of the filter
    times what constants right behind it scale its channel by, as a batch normalisation does, so
    that it is the same whether that is folded into the filter or not (``filter_gains`` says where
    not). R is the mean rank of its feature map over min(height, width). G is abs of the mean over
    positions of gradient x activation, averaged over images: what the channel's removal does to the
    loss, to first order.

    A baseline is the one statistic that its paper names, scaled like the factors, whatever scaling
    the paper has: HRank, FPGM and Network Slimming have none, and Molchanov et al. divide a layer's
    values by their L2 norm. FPGM's is the sum of the Euclidean distances of a filter to the others
    of its layer, Network Slimming's abs of the scale of a batch normalisation.

    Args:
        criterion: The formula.
        statistics: What was measured; the criterion's factors must be among it.
        count: Number of units.
        rng: Draws the scores of the random criterion.

    Returns:
        The scores.

    Source: Jia et al., "WRGPruner", Image and Vision Computing 109 (2021) 104143, names the three
    factors; what they are, the product and the scaling are our reconstruction. L1: Li et al.,
    "Pruning Filters for Efficient ConvNets", ICLR 2017, arXiv:1608.08710. R alone: Lin et al.,
    "HRank", CVPR 2020, arXiv:2002.10179. G alone: Molchanov et al., "Pruning Convolutional Neural
    Networks for Resource Efficient Inference", ICLR 2017, arXiv:1611.06440, eq. 8. FPGM: He et al.,
    "Filter Pruning via Geometric Median", CVPR 2019, arXiv:1811.00250. BN: Liu et al., "Learning
    Efficient Convolutional Networks through Network Slimming", ICCV 2017, arXiv:1708.06519.
    """
    if not (criterion.factors or criterion.repairs):
        return Scores(rng.random(count), np.zeros(count, bool))
    values = np.ones(count)
    unmeasured = np.zeros(count, bool)
    for factor in criterion.factors:
        found = per_unit(statistics.of(factor), count)
        values *= found.values
        unmeasured |= ~found.measured
    return Scores(values, unmeasured)
