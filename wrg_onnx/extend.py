"""What others add to wrg-onnx: factors, criteria, rules, twin operators, losses, data sources.

Each is a function, a decorator registers it, and an entry point has it found once its package is
installed; docs/extending.md shows all of them. Importing this imports nothing heavy: a name does,
when it is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from wrg_onnx.extensions import Kind, calling_module, check_name, origin_of
from wrg_onnx.factors import (
    ACTIVATION,
    BATCH_SCALE,
    DISTANCE,
    GRADIENT,
    L1,
    L2,
    LARGEST,
    RANK,
    WEIGHT,
    Factor,
    Float64Array,
)

if TYPE_CHECKING:
    from wrg_onnx.calibrate.registry import OfMaps
    from wrg_onnx.calibrate.weight.filters import OfFilters
    from wrg_onnx.channels import Axes, Traits
    from wrg_onnx.channels.answers import (
        Coupling,
        Demand,
        Freeze,
        Tie,
        broadcast,
        freeze_axes,
        tie_rows,
    )
    from wrg_onnx.channels.axes import Call
    from wrg_onnx.channels.table import Derived, derivation, op_rule
    from wrg_onnx.channels.traits import op_traits
    from wrg_onnx.data.sources import Arrays, Picture, data_source
    from wrg_onnx.finetune.named_losses import loss
    from wrg_onnx.graph import Node
    from wrg_onnx.select.criteria import Criterion, Formula
    from wrg_onnx.twin.table import twin_op

__all__ = [
    "ACTIVATION",
    "BATCH_SCALE",
    "DISTANCE",
    "GRADIENT",
    "L1",
    "L2",
    "RANK",
    "WEIGHT",
    "Arrays",
    "Axes",
    "Call",
    "Coupling",
    "Demand",
    "Derived",
    "Factor",
    "Float64Array",
    "Freeze",
    "Node",
    "Picture",
    "Tie",
    "Traits",
    "broadcast",
    "criterion",
    "data_source",
    "derivation",
    "freeze_axes",
    "loss",
    "map_factor",
    "op_rule",
    "op_traits",
    "tie_rows",
    "twin_op",
    "weights_factor",
]

_HOMES = {
    "wrg_onnx.channels": ("Axes", "Traits"),
    "wrg_onnx.channels.answers": (
        "Coupling", "Demand", "Freeze", "Tie", "broadcast", "freeze_axes", "tie_rows",
    ),
    "wrg_onnx.channels.axes": ("Call",),
    "wrg_onnx.channels.table": ("Derived", "derivation", "op_rule"),
    "wrg_onnx.channels.traits": ("op_traits",),
    "wrg_onnx.data.sources": ("Arrays", "Picture", "data_source"),
    "wrg_onnx.finetune.named_losses": ("loss",),
    "wrg_onnx.graph": ("Node",),
    "wrg_onnx.twin.table": ("twin_op",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def weights_factor(name: str, *, version: int) -> Callable[[OfFilters], Factor]:
    """Register a factor that weights alone give, and the criterion of its name.

    Args:
        name: Lower-case letters, digits and underscores; ``--criterion`` takes it.
        version: Grows with every change of the formula.

    Returns:
        A decorator of a function from the filters of one layer, (n, elements) floats, to (n,)
        numbers that are not negative. It turns it into the factor.

    Raises:
        ValueError: If the name is taken; the message says by whom.
    """
    origin = origin_of(calling_module())

    def register(measure: OfFilters) -> Factor:
        from wrg_onnx import calibrate
        from wrg_onnx.select.criteria import check_free, register_criterion

        check_free(name)
        made = calibrate.weights_factor(
            name,
            lambda units: calibrate.of_filters(units, measure),
            version=version,
            origin=origin,
        )
        register_criterion(name, (made,), version=version, origin=origin)
        return made

    return register


def map_factor(name: str, *, version: int, most: float = LARGEST) -> Callable[[OfMaps], Factor]:
    """Register a factor of feature maps, and the criterion of its name.

    Args:
        name: Lower-case letters, digits and underscores; ``--criterion`` takes it.
        version: Grows with every change of the formula: what was kept of others is not read.
        most: The largest number that it can give; the least is 0.

    Returns:
        A decorator of a function from the maps of one layer and one image, (N, C, H, W) floats, to
        (N, C) numbers, of which the mean over N is taken, or (C,). It turns it into the factor.

    Raises:
        ValueError: If the name is taken; the message says by whom.
    """
    origin = origin_of(calling_module())

    def register(measure: OfMaps) -> Factor:
        from wrg_onnx import calibrate
        from wrg_onnx.select.criteria import check_free, register_criterion

        check_free(name)
        made = calibrate.map_factor(name, measure, version=version, most=most, origin=origin)
        register_criterion(name, (made,), version=version, origin=origin)
        return made

    return register


def criterion(
    name: str, *, factors: Sequence[Factor], version: int
) -> Callable[[Formula], Criterion]:
    """Register a criterion: a formula of factors.

    Args:
        name: Lower-case letters, digits, hyphens and underscores; ``--criterion`` takes it.
        factors: What it is made of, ours or one's own.
        version: Grows with every change of the formula.

    Returns:
        A decorator of a function that takes of each factor the values of all units, (units,)
        float64, scaled to geometric mean 1 in each layer, and returns their scores, (units,) and
        not negative: what is higher stays. It turns it into the criterion.

    Raises:
        ValueError: If the name is taken; the message says by whom.
    """
    origin = origin_of(calling_module())
    check_name(Kind.CRITERION, name)
    if not factors:
        raise ValueError(f"criterion '{name}' needs at least one factor")

    def register(formula: Formula) -> Criterion:
        from wrg_onnx.select.criteria import register_criterion

        return register_criterion(name, factors, formula=formula, version=version, origin=origin)

    return register


def __getattr__(name: str) -> Any:
    """Import what is asked for, and keep it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List what is there, and what would be imported."""
    return sorted({*globals(), *__all__})
