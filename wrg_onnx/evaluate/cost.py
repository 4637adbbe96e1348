"""What a model costs before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wrg_onnx.channels import BoolArray, CostTerm, total_cost


@dataclass(frozen=True, slots=True)
class Cost:
    """Static cost of a model.

    Attributes:
        parameters: Elements of float and 8-bit constants, scalars excluded.
        macs: Multiply-accumulate operations of convolutions and matrix products, for batch 1 at the
            analysed sizes.
        file_bytes: Size of the file, external data included; None while it is not written.
    """

    parameters: int
    macs: int
    file_bytes: int | None


def measure_cost(
    parameters: Iterable[CostTerm],
    macs: Iterable[CostTerm],
    alive: BoolArray,
    file_bytes: int | None,
) -> Cost:
    """Evaluate the cost terms of an analysis.

    Args:
        parameters: From ``parameter_terms``.
        macs: From ``mac_terms``.
        alive: (units,) bool, the units that are left.
        file_bytes: Size of the file, None while it is not written.
    """
    return Cost(round(total_cost(parameters, alive)), round(total_cost(macs, alive)), file_bytes)
