"""What budgets speak of: how each is called, shown and counted in what is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels import BoolArray, count_parameters
from wrg_onnx.choices import BudgetKind
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.graph import Graph, file_bytes, resolve_provider
from wrg_onnx.latency import paired_latency
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.recover import AddedBiases
from wrg_onnx.report.speed import noise_text
from wrg_onnx.rewrite import apply_plan, find_kept_channels, plan_slices, with_note


@dataclass(frozen=True, slots=True)
class Trial:
    """A selection that is asked what it comes to.

    Attributes:
        model: The analysed model.
        alive: (units,) bool, those that stay.
        config: Where to compute, and the seed.
        recovers: Whether layers without a bias will get one.
    """

    model: Model
    alive: BoolArray
    config: PruneConfig
    recovers: bool


@dataclass(frozen=True, slots=True)
class Left:
    """What a selection really comes to.

    Attributes:
        amount: In the unit of the quantity.
        doubt: Why that is not sure; empty if it is.
    """

    amount: float
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A budget's quantity.

    Attributes:
        at_hand: Reads it from what a written model costs; None where only a measurement tells it.
        real: Tells what a selection really comes to, once it is written; None where the terms of
            the budget are exact.
        miss: By which share of the whole that may be off.
        from_table: Whether a table of this machine tells it, so that counts matter that its kernels
            like.
        prices: Whether a score is held against what its removal saves.
        show: Writes a number of it with its unit.
    """

    at_hand: Callable[[Cost], float] | None
    real: Callable[[Trial], Left] | None
    miss: float
    from_table: bool
    prices: bool
    show: Callable[[float], str]


def _written_parameters(trial: Trial) -> Left:
    # Counted in the graph: readers of one vector may get vectors of their own.
    added = AddedBiases(trial.model.units).count(trial.alive) if trial.recovers else 0
    return Left(float(count_parameters(_cut(trial)) + added))


def _written_bytes(trial: Trial) -> Left:
    units, cut = trial.model.units, _cut(trial)
    if trial.recovers:
        cut = AddedBiases(units).added_to(cut, trial.alive)
    noted = with_note(cut, find_kept_channels(units, trial.alive))
    return Left(float(file_bytes(noted, external_data=trial.config.external_data)))


def _cut(trial: Trial) -> Graph:
    return apply_plan(trial.model.graph, plan_slices(trial.model.units, trial.alive))


def _measured_ms(trial: Trial) -> Left:
    """Run the original and what is left of it in turn; milliseconds where the former is as fast."""
    model, rng = trial.model, np.random.default_rng(trial.config.seed)
    feeds = model.random_feeds(rng)
    share, noises = paired_latency(
        model.graph, _cut(trial), feeds, resolve_provider(trial.config.provider), rng
    )
    said = noise_text(noises)
    doubt = f"the time that is left may be another than was measured: {said}" if said else ""
    return Left(share * model.budget(BudgetKind.LATENCY).cost(model.everything), doubt)


QUANTITIES: Mapping[BudgetKind, Quantity] = {
    BudgetKind.PARAMS: Quantity(
        at_hand=lambda cost: cost.parameters,
        real=_written_parameters,
        miss=0.0005,
        from_table=False,
        prices=False,
        show=lambda count: f"{count:,.0f} parameters",
    ),
    BudgetKind.MACS: Quantity(
        at_hand=lambda cost: cost.macs,
        real=None,
        miss=0.0,
        from_table=False,
        prices=False,
        show=lambda count: f"{count:,.0f} MACs",
    ),
    BudgetKind.BYTES: Quantity(
        at_hand=None,
        real=_written_bytes,
        miss=0.0005,
        from_table=False,
        prices=False,
        show=lambda count: f"{count:,.0f} bytes",
    ),
    BudgetKind.LATENCY: Quantity(
        at_hand=None,
        real=_measured_ms,
        miss=0.01,
        from_table=True,
        prices=True,
        show=lambda ms: f"{ms:.3g} ms",
    ),
}
"""Whatever has to tell budgets apart looks here."""
