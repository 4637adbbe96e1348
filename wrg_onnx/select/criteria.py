"""From statistics to a unit's score: higher means keep. A criterion is a product of factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.errors import StatisticsError, spoken
from wrg_onnx.extensions import (
    Kind,
    Origin,
    calling_module,
    installed,
    load_named,
    origin_of,
    raise_if_missing,
)
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

Formula: TypeAlias = Callable[..., Float64Array]
"""Takes the values of each factor, (units,) float64, scaled to geometric mean 1 in each layer;
returns (units,) scores that are not negative, higher = keep."""


def product(*values: Float64Array) -> Float64Array:
    """Multiply the factors: the formula of our own criteria."""
    return reduce(np.multiply, values)


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
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
        factors: What it is made of; without any the scores are random.
        other_names: Further names that find it.
        repairs: Whether units go in the order in which the rest can make up for them.
        formula: How the factors are combined.
        version: Grows with every change of the formula.
        origin: Who brings it.

    Raises:
        ValueError: If there is none of that name.
        ExtensionError: If an installed package says that it brings one of that name, and it cannot
            be had, or ours has the name already.
    """

    name: str
    factors: tuple[Factor, ...]
    other_names: tuple[str, ...]
    repairs: bool
    formula: Formula
    version: int
    origin: Origin

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
        # Loaded first, so that a name which is ours already is refused rather than passed over.
        loaded = [kind for kind in _KINDS if load_named(kind, name)]
        for criterion in all_criteria():
            if name == criterion.name or name in criterion.other_names:
                return criterion
        for kind in loaded:
            raise_if_missing(kind, name)
        raise ValueError(f"{name!r} is not a valid Criterion")

    def __repr__(self) -> str:
        return f"<Criterion '{self.name}'>"

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

_KINDS = (Kind.CRITERION, Kind.FACTOR)
"""What others bring that is a criterion of its name: so is a factor."""


def all_criteria() -> tuple[Criterion, ...]:
    """List the criteria in the order in which they were registered, ours first.

    One that an installed package brings is registered when its name is first asked for.
    """
    return tuple(_REGISTERED)


def criterion_names() -> tuple[str, ...]:
    """List all names that ``Criterion`` finds.

    First the criteria's own, then the other ones, and last those that installed packages bring and
    that nobody has asked for yet: they are known by name, and not imported.
    """
    known = all_criteria()
    own = [criterion.name for criterion in known]
    others = [other for criterion in known for other in criterion.other_names]
    brought = sorted({name for kind in _KINDS for name in installed(kind)} - {*own, *others})
    return (*own, *others, *brought)


def check_free(*names: str) -> None:
    """Refuse names of criteria that are taken.

    Raises:
        ValueError: If one is; it says by whom.
    """
    for criterion in all_criteria():
        for taken in (criterion.name, *criterion.other_names):
            if taken in names:
                raise ValueError(f"there is a criterion '{taken}' already, of {criterion.origin}")


def register_criterion(  # noqa: PLR0913 - each keyword is a field of the criterion
    name: str,
    factors: Sequence[Factor],
    *,
    other_names: Sequence[str] = (),
    repairs: bool = False,
    formula: Formula = product,
    version: int = 1,
    origin: Origin | None = None,
) -> Criterion:
    """Add a criterion: ``Criterion`` finds it, and ``--criterion`` takes it.

    Args:
        name: What commands and reports call it.
        factors: What it is made of: ours, or what ``calibrate.map_factor`` or
            ``calibrate.weights_factor`` gave; without any the scores are random, or what
            ``repairs`` gives.
        other_names: Further names that find it.
        repairs: Whether what remains lost after repair is multiplied by what the formula gives.
        formula: How the factors are combined.
        version: Grows with every change of ``formula``.
        origin: Who brings it; None for the package of the module that calls this.

    Returns:
        The criterion.

    Raises:
        ValueError: If there is one of these names.
    """
    check_free(name, *other_names)
    criterion = object.__new__(Criterion)
    fields = {
        "name": name, "factors": tuple(factors), "other_names": tuple(other_names),
        "repairs": repairs, "formula": formula, "version": version,
        "origin": origin or origin_of(calling_module()),
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

    Raises:
        StatisticsError: If a formula of others gives what is no score.

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
    found = [per_unit(statistics.of(factor), count) for factor in criterion.factors]
    unmeasured = np.zeros(count, bool)
    for one in found:
        unmeasured |= ~one.measured
    if not found:
        return Scores(np.ones(count), unmeasured)
    return Scores(_combined(criterion, [one.values for one in found]), unmeasured)


def _combined(criterion: Criterion, values: Sequence[Float64Array]) -> Float64Array:
    """Combine the factors by a criterion's formula.

    Raises:
        StatisticsError: If it fails, or gives anything but a number from 0 on for each unit.
    """
    if criterion.formula is product:
        return product(*values)
    try:
        # Whatever it does to them in place, it is asked again for other images.
        found = np.asarray(criterion.formula(*(one.copy() for one in values)), np.float64)
    except Exception as error:
        raise StatisticsError(
            f"criterion '{criterion.name}' fails on {len(values)} factors of {len(values[0])} "
            f"units: {spoken(error)}"
        ) from error
    if found.shape != values[0].shape:
        raise StatisticsError(
            f"criterion '{criterion.name}' gave scores of shape {found.shape}: expected "
            f"{values[0].shape}, one for each unit"
        )
    wrong = found[~((found >= 0) & np.isfinite(found))]
    if len(wrong):
        raise StatisticsError(
            f"criterion '{criterion.name}' gave the score {wrong[0]:g}: expected finite numbers "
            "from 0 on"
        )
    return found
