"""From statistics to a unit's score: higher means keep."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.calibrate.statistics import Float64Array, Statistics
from wrg_onnx.select.scaling import factors


class Criterion(enum.Enum):
    """A formula from statistics to saliency.

    ``SEL`` is the salient energy level: the product of the factors W, R and G. Its parts are
    criteria of their own, so that a user sees what each buys. The others are baselines: ``L1`` and
    ``L2``, norms of filters; ``FPGM``, a filter's distances to the others of its layer; ``ACT``,
    mean activation; ``BN``, the scale of the batch normalisation behind it; ``RANDOM``. A criterion
    has the names in ``OTHER_NAMES``, too: ``Criterion("hrank")`` is ``Criterion.R``, and
    ``Criterion("taylor")`` is ``Criterion.G``.
    """

    SEL = "sel"
    W = "w"
    R = "r"
    G = "g"
    WR = "wr"
    WG = "wg"
    RG = "rg"
    L1 = "l1"
    L2 = "l2"
    FPGM = "fpgm"
    ACT = "act"
    BN = "bn"
    RANDOM = "random"

    @classmethod
    def _missing_(cls, value: object) -> Criterion | None:
        return OTHER_NAMES.get(str(value))

    @property
    def parts(self) -> tuple[str, ...]:
        """The statistics that are multiplied."""
        return _PARTS[self]

    @property
    def needs_maps(self) -> bool:
        """Whether feature maps must be looked at."""
        return bool({"r", "act"} & set(self.parts))

    @property
    def needs_gradient(self) -> bool:
        """Whether a backward pass is needed."""
        return "g" in self.parts

    @property
    def needs_data(self) -> bool:
        """Whether images are needed at all."""
        return self.needs_maps or self.needs_gradient


OTHER_NAMES = {"hrank": Criterion.R, "taylor": Criterion.G}
"""What a paper calls a criterion, for those who look for that name."""

_PARTS = {
    Criterion.SEL: ("w", "r", "g"),
    Criterion.W: ("w",),
    Criterion.R: ("r",),
    Criterion.G: ("g",),
    Criterion.WR: ("w", "r"),
    Criterion.WG: ("w", "g"),
    Criterion.RG: ("r", "g"),
    Criterion.L1: ("l1",),
    Criterion.L2: ("l2",),
    Criterion.FPGM: ("fpgm",),
    Criterion.ACT: ("act",),
    Criterion.BN: ("bn",),
    Criterion.RANDOM: (),
}


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
        statistics: What was measured; the criterion's parts must be among it.
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
    if criterion is Criterion.RANDOM:
        return Scores(rng.random(count), np.zeros(count, bool))
    known = factors(statistics, count)
    values = np.ones(count)
    unmeasured = np.zeros(count, bool)
    for part in criterion.parts:
        values *= known[part].values
        unmeasured |= ~known[part].measured
    return Scores(values, unmeasured)
