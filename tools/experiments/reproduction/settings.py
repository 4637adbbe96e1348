"""What is trained, cut and tuned: the two profiles, and the rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sod.nets import NetOptions
from sod.training import Recipe
from wrg_onnx.pipeline.config import Recovery
from wrg_onnx.select import Criterion

NAMES = (
    "sel", "w", "r", "g", "wr", "wg", "rg",
    "l1", "l2", "fpgm", "taylor", "act", "bn", "hrank", "random",
)  # fmt: skip
"""The criteria of the table: SEL, its parts, and the baselines."""


FORMULAS = 3
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
        formula = criterion.factors or (criterion,)
        row = rows.get(formula)
        rows[formula] = Row(criterion) if row is None else Row(row.criterion, (*row.also, name))
    return tuple(rows.values())


@dataclass(frozen=True, slots=True)
class Settings:
    """One experiment. Two runs with the same settings share their results.

    Attributes:
        net: What is trained.
        size: Side of the images in pixels.
        training: How the unpruned net is trained; its seed is replaced by each of ``seeds``.
        tuning: How every net is fine-tuned, the unpruned one too; its seed is replaced as well.
        images: Generated images to train on.
        held_out: Generated images to judge on, the same for all seeds.
        samples: Training images that statistics and ridge look at.
        ratios: Shares of the parameters that are removed.
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
    ratios: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    seeds: tuple[int, ...] = (0, 1, 2)
    recover: Recovery = Recovery.RIDGE
    data: tuple[str, ...] = ()
    judge: tuple[str, ...] = ()
    weights: str = ""
    fold: bool = False

    @property
    def rows(self) -> tuple[Row, ...]:
        """The criteria that this net can be pruned by."""
        has_scales = self.net.batch_norm and not self.fold
        return rows_of([name for name in NAMES if has_scales or name != "bn"])

    @property
    def identity(self) -> dict[str, Any]:
        """All that two runs must have in common to share results.

        Ratios and seeds may differ: they say how much of the experiment is done.
        """
        found = {k: v for k, v in asdict(self).items() if k not in ("ratios", "seeds")}
        return found | {"recover": self.recover.value, "formulas": FORMULAS}


PROFILES = {
    "quick": Settings(
        net=NetOptions("vgg16_sod", 0.125, batch_norm=True),
        size=64,
        training=Recipe(800, rate=3e-3),
        tuning=Recipe(100, rate=1e-3),
        images=1500,
        held_out=300,
        samples=64,
    ),
    "full": Settings(
        net=NetOptions("vgg16_sod", 1.0, batch_norm=True),
        size=160,
        training=Recipe(6000, batch=16, rate=1e-3, amp=True),
        tuning=Recipe(600, batch=16, rate=3e-4, amp=True),
        images=8000,
        held_out=400,
        samples=64,
    ),
}
