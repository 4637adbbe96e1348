"""What a layer that consumes channels reads: enough to tell what it would lose, and could repair.

Pure numpy: ``recover`` takes it from a model and images, ``select`` chooses by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from wrg_onnx.factors.statistics import Float64Array, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Consumer:
    """One group of one layer: a product of a weight with what it reads, D numbers to M.

    Attributes:
        layer: The tensor that it makes, for reports.
        weight: (M, D) float64.
        gram: (D, D) float64, the covariance of what it reads; None where it was not measured: then
            the D numbers count as uncorrelated and of one variance, and nothing can be repaired.
        inputs: (D,) int64, the unit of each number that it reads; negative where there is none.
        outputs: (M,) int64, the unit of each number that it makes; negative where there is none.
        rows: How many rows the covariance was taken from.
    """

    layer: str
    weight: Float64Array
    gram: Float64Array | None
    inputs: IntArray
    outputs: IntArray
    rows: int = 0

    def __post_init__(self) -> None:
        made, read = self.weight.shape
        assert self.gram is None or self.gram.shape == (read, read), self.layer
        assert (self.outputs.shape, self.inputs.shape) == ((made,), (read,)), self.layer
