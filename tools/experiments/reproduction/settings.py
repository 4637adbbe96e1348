"""What is trained, cut and tuned: the profiles, and the rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sod.nets import NetOptions
from sod.training import Recipe
from wrg_onnx.pipeline.config import BudgetKind, Recovery
from wrg_onnx.select import Criterion

NAMES = (
    "repair", "sel-repair", "sel", "w", "r", "g", "wr", "wg", "rg",
    "l1", "l2", "fpgm", "taylor", "act", "bn", "hrank", "random",
)  # fmt: skip
"""The criteria of the table: what remains after repair, SEL, its parts, and the baselines."""

MAIN = ("repair", "sel-repair", "sel", "w", "g", "l1", "random")
"""Those that dear runs are for: each of another kind, and the level that chance reaches."""

FORMULAS = 4
"""Grows when a criterion becomes another formula: results of both would be mixed in one folder."""


@dataclass(frozen=True, slots=True)
class Row:
    """Criteria that are one formula, and so remove the same units.

    Attributes:
        criterion: The one that is run.
        also: The other names of it.
    """

    criterion: Criterion
    also: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What the table calls it, such as ``"g = taylor"``."""
        return " = ".join((self.criterion.name, *self.also))


def rows_of(names: Sequence[str]) -> tuple[Row, ...]:
    """Return a row for each formula, in the order of the names.

    Raises:
        ValueError: If a name is of no criterion.
    """
    rows: dict[tuple[object, ...], Row] = {}
    for name in names:
        criterion = Criterion(name)
        formula = (*(criterion.factors or (criterion,)), criterion.repairs)
        row = rows.get(formula)
        rows[formula] = Row(criterion) if row is None else Row(row.criterion, (*row.also, name))
    return tuple(rows.values())


@dataclass(frozen=True, slots=True)
class Cut:
    """What is taken from a net.

    Attributes:
        budget: The quantity that the ratio speaks of.
        ratio: The share of it to remove, in (0, 1).
        row: The criterion.
    """

    budget: BudgetKind
    ratio: float
    row: Row

    @property
    def name(self) -> str:
        """What files and the log call it, such as ``"sel-params-0.6"``."""
        return f"{self.row.criterion.name}-{self.budget.value}-{self.ratio:g}"


@dataclass(frozen=True, slots=True)
class Tuning:
    """A number of steps, and for which cuts; the unpruned net is tuned for each.

    A schedule ends with its last step, so that each number of steps is a training of its own.

    Attributes:
        steps: Steps of fine-tuning.
        criteria: Names; empty for all.
        ratios: Empty for all.
    """

    steps: int
    criteria: tuple[str, ...] = ()
    ratios: tuple[float, ...] = ()

    def covers(self, cut: Cut | None) -> bool:
        """Say whether a cut, or with None the unpruned net, is tuned for so long."""
        if cut is None:
            return True
        names = {cut.row.criterion.name, *cut.row.also}
        is_named = not self.criteria or not names.isdisjoint(self.criteria)
        return is_named and (not self.ratios or cut.ratio in self.ratios)


@dataclass(frozen=True, slots=True)
class Settings:
    """The experiment on one net. Two runs with the same identity share their results.

    Attributes:
        net: What is trained.
        size: Side of the images in pixels.
        training: How the unpruned net is trained; its seed is replaced by each of ``seeds``.
        tuning: How every net is fine-tuned, the unpruned one too; its seed is replaced as well, and
            its steps by those of each of ``tunings``.
        images: Generated images to train on.
        held_out: Generated images to judge on, the same for all seeds.
        samples: Training images that statistics and ridge look at.
        tunings: For how many steps what is fine-tuned.
        criteria: Names of those that are run.
        budgets: The quantities that a ratio is removed of, each in a cut of its own.
        ratios: The shares.
        seeds: Each trains a net of its own.
        recover: What comes between the cut and fine-tuning: ``NONE``, ``BIAS`` or ``RIDGE``.
        data: Folders with ``images/`` and ``masks/`` to train on; none for generated images.
        judge: Folders to judge on.
        weights: A state dict of torchvision for the backbone; empty for none.
        fold: Whether the file that is pruned has its batch normalisation folded into the
            convolutions. Then there is none for the criterion ``bn``, and ``l1``, ``l2`` and
            ``fpgm`` are of filters that hold its scales, as ``w`` is anyway.
    """

    net: NetOptions
    size: int
    training: Recipe
    tuning: Recipe
    images: int
    held_out: int
    samples: int
    tunings: tuple[Tuning, ...]
    criteria: tuple[str, ...] = NAMES
    budgets: tuple[BudgetKind, ...] = (BudgetKind.PARAMS, BudgetKind.MACS)
    ratios: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    seeds: tuple[int, ...] = (0, 1, 2)
    recover: Recovery = Recovery.RIDGE
    data: tuple[str, ...] = ()
    judge: tuple[str, ...] = ()
    weights: str = ""
    fold: bool = False

    @property
    def place(self) -> str:
        """The name of the folder of this net's results."""
        return f"width-{self.net.width:g}"

    @property
    def rows(self) -> tuple[Row, ...]:
        """The criteria that this net can be pruned by."""
        has_scales = self.net.batch_norm and not self.fold
        return rows_of([name for name in NAMES if has_scales or name != "bn"])

    @property
    def chosen(self) -> tuple[Row, ...]:
        """Those of them that are run."""
        return tuple(row for row in self.rows if {row.criterion.name, *row.also} & {*self.criteria})

    @property
    def steps(self) -> tuple[int, ...]:
        """All numbers of steps, the fewest first."""
        return tuple(sorted({tuning.steps for tuning in self.tunings}))

    @property
    def identity(self) -> dict[str, Any]:
        """All that two runs must have in common to share results.

        What is removed, by which criterion, how long is tuned and the seeds may differ: they say
        how much of the experiment is done.
        """
        more = ("tunings", "criteria", "budgets", "ratios", "seeds")
        found = {name: value for name, value in asdict(self).items() if name not in more}
        del found["tuning"]["steps"]
        return found | {"recover": self.recover.value, "formulas": FORMULAS}


_QUICK = Settings(
    net=NetOptions("vgg16_sod", 0.125, batch_norm=True),
    size=64,
    training=Recipe(800, rate=3e-3),
    tuning=Recipe(200, rate=1e-3),
    images=1500,
    held_out=300,
    samples=64,
    tunings=(Tuning(200), Tuning(800, MAIN, (0.6,))),
)

_WIDE = replace(_QUICK, criteria=MAIN, ratios=(0.6,))

_RATES = {0.125: 3e-3, 0.25: 3e-3, 0.5: 1.5e-3}
"""By width: at twice this rate one of three nets of half the width hardly learns."""

PROFILES = {
    "quick": (_QUICK,),
    "wide": tuple(
        replace(
            _WIDE, net=replace(_WIDE.net, width=width), training=replace(_WIDE.training, rate=rate)
        )
        for width, rate in _RATES.items()
    ),
    "full": (
        Settings(
            net=NetOptions("vgg16_sod", 1.0, batch_norm=True),
            size=160,
            training=Recipe(6000, batch=16, rate=1e-3, amp=True),
            tuning=Recipe(600, batch=16, rate=3e-4, amp=True),
            images=8000,
            held_out=400,
            samples=64,
            tunings=(Tuning(600), Tuning(2400, MAIN, (0.6,))),
        ),
    ),
}
"""By name, the nets of each profile. ``wide`` has fewer criteria and one ratio."""
