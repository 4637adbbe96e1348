"""How far a pruned model's outputs are from the original's, for models without masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.errors import DataError
from wrg_onnx.graph.returned import KEYS, is_element

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Array


@dataclass(frozen=True, slots=True)
class OutputAgreement:
    """How far one output is from its reference over a data set.

    Attributes:
        output: The output's name.
        relative_error: ``||a - b|| / ||a||`` (Euclidean) with the samples of the same shape laid
            end to end, a being the reference. 0 where both are zero, infinite where only the
            reference is, or where one side holds an infinity or NaN that the other does not;
            None where no sample could be compared.
        samples: The number of samples compared.
        reshaped: The number of samples left out because the two shapes differ, as after
            NonMaxSuppression, where the shape depends on the values; or because a sequence has
            the element in one model only.
    """

    output: str
    relative_error: float | None
    samples: int
    reshaped: int


# Not the largest difference, as in `graph.difference`: that is for a proof, where a single wrong
# element counts. Here all of them together do.
@dataclass(slots=True)
class _Sums:
    """Running totals of one output."""

    difference: float = 0.0
    reference: float = 0.0
    samples: int = 0
    reshaped: int = 0
    broken: bool = False


class Agreement:
    """Compares two models' outputs, one sample at a time."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def add(self, reference: Mapping[str, Array], other: Mapping[str, Array]) -> None:
        """Compare the outputs for one sample.

        Args:
            reference: The reference's outputs by name, as a session returns them. Only numbers and
                booleans are compared, and not the keys of maps.
            other: The other model's.

        Raises:
            DataError: If an output of the reference is absent from the other model.
        """
        for name in (*reference, *(name for name in other if name not in reference)):
            values = reference.get(name, other.get(name))
            if values is None or values.dtype.kind not in "fiub" or name.endswith(KEYS):
                continue
            if name in reference and name in other:
                _add(self._sums.setdefault(name, _Sums()), values, other[name])
            elif is_element(name):
                self._sums.setdefault(name, _Sums()).reshaped += 1
            elif name in reference:
                raise DataError(f"output '{name}' is in the original but not in the other model")

    def outputs(self) -> tuple[OutputAgreement, ...]:
        """Return one record per output, in the order of the first sample's reference.

        Raises:
            DataError: If there was no sample at all, or nothing to compare.
        """
        if not self._sums:
            raise DataError(
                "there are no outputs to compare: the data set is empty, or not of numbers"
            )
        return tuple(
            OutputAgreement(name, _relative_error(total), total.samples, total.reshaped)
            for name, total in self._sums.items()
        )


def _add(sums: _Sums, reference: Array, other: Array) -> None:
    if reference.shape != other.shape:
        sums.reshaped += 1
        return
    sums.samples += 1
    a, b = reference.astype(np.float64), other.astype(np.float64)
    # An infinity or NaN on both sides agrees; on one side no finite number says how far apart.
    finite = np.isfinite(a) & np.isfinite(b)
    sums.broken |= not np.array_equal(a[~finite], b[~finite], equal_nan=True)
    sums.difference += float(np.square(a[finite] - b[finite]).sum())
    sums.reference += float(np.square(a[finite]).sum())


def _relative_error(sums: _Sums) -> float | None:
    if sums.samples == 0:
        return None
    if sums.broken:
        return math.inf
    if sums.difference == 0:
        return 0.0
    return math.sqrt(sums.difference / sums.reference) if sums.reference else math.inf
