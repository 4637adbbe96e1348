"""How far a pruned model's outputs are from the original's, for models without masks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.errors import DataError
from wrg_onnx.factors import Float64Array
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
        varies: Whether the reference is not the same everywhere on all samples: if it is, that the
            other model gives the same says next to nothing.
    """

    output: str
    relative_error: float | None
    samples: int
    reshaped: int
    varies: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class OutputErrors:
    """How far one output is from its reference, sample by sample.

    Attributes:
        output: The output's name.
        difference: (samples,) float64, ``||a - b||`` squared.
        reference: (samples,) float64, ``||a||`` squared.
        broken: Whether one side held an infinity or NaN that the other did not.
    """

    output: str
    difference: Float64Array
    reference: Float64Array
    broken: bool

    def resampled(self, counts: Float64Array) -> Float64Array:
        """Return the relative error over other choices of the samples.

        Args:
            counts: (draws, samples), how often each sample is in each choice.

        Returns:
            (draws,) float64.
        """
        difference, reference = counts @ self.difference, counts @ self.reference
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(difference / reference)
        found = np.where(difference == 0, 0.0, np.where(reference == 0, np.inf, error))
        return np.full(len(found), np.inf) if self.broken else found


# Not the largest difference, as in `graph.difference`: that is for a proof, where a single wrong
# element counts. Here all of them together do.
@dataclass(slots=True)
class _Sums:
    """What was found of one output: squares, by the number of each sample that was compared."""

    differences: dict[int, float] = field(default_factory=dict)
    references: dict[int, float] = field(default_factory=dict)
    reshaped: int = 0
    broken: bool = False
    elements: int = 0
    least: float = math.inf
    largest: float = -math.inf

    @property
    def samples(self) -> int:
        return len(self.differences)

    @property
    def varies(self) -> bool:
        is_number = self.elements == 1 and self.largest != 0
        return not self.samples or self.least < self.largest or is_number


class Agreement:
    """Compares two models' outputs, one sample at a time."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}
        self._samples = 0

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
                _add(self._sums.setdefault(name, _Sums()), self._samples, values, other[name])
            elif is_element(name):
                self._sums.setdefault(name, _Sums()).reshaped += 1
            elif name in reference:
                raise DataError(f"output '{name}' is in the original but not in the other model")
        self._samples += 1

    def per_sample(self) -> tuple[OutputErrors, ...]:
        """Return what each sample added to each output that could be compared; 0 where it did not.

        Returns:
            In the order of ``outputs``.
        """
        return tuple(
            OutputErrors(
                name,
                np.array([sums.differences.get(i, 0.0) for i in range(self._samples)]),
                np.array([sums.references.get(i, 0.0) for i in range(self._samples)]),
                sums.broken,
            )
            for name, sums in self._sums.items()
            if sums.samples
        )

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
            OutputAgreement(
                name,
                _relative_error(total),
                total.samples,
                total.reshaped,
                varies=total.varies,
            )
            for name, total in self._sums.items()
        )


def _add(sums: _Sums, sample: int, reference: Array, other: Array) -> None:
    if reference.shape != other.shape:
        sums.reshaped += 1
        return
    a, b = reference.astype(np.float64), other.astype(np.float64)
    # An infinity or NaN on both sides agrees; on one side no finite number says how far apart.
    finite = np.isfinite(a) & np.isfinite(b)
    sums.broken |= not np.array_equal(a[~finite], b[~finite], equal_nan=True)
    sums.differences[sample] = float(np.square(a[finite] - b[finite]).sum())
    sums.references[sample] = float(np.square(a[finite]).sum())
    sums.elements += int(finite.sum())
    sums.least = min(sums.least, float(a[finite].min(initial=math.inf)))
    sums.largest = max(sums.largest, float(a[finite].max(initial=-math.inf)))


def _relative_error(sums: _Sums) -> float | None:
    if sums.samples == 0:
        return None
    if sums.broken:
        return math.inf
    difference, reference = sum(sums.differences.values()), sum(sums.references.values())
    if difference == 0:
        return 0.0
    return math.sqrt(difference / reference) if reference else math.inf
