"""How a torch module becomes an ONNX file; without torch."""

from __future__ import annotations

from dataclasses import dataclass

from wrg_onnx.choices import Exporter
from wrg_onnx.errors import UsageError


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a module becomes an ONNX file.

    Attributes:
        shapes: One shape for each float32 input, the batch first.
        dynamic_batch: Whether the file takes any batch; otherwise the one in ``shapes``.
        opset: The version of the operator set; None for the exporter's own choice.
        input_names: The inputs' names in the file; None for the parameters of ``forward``.
        exporter: Which exporter; the older one is never chosen by itself.
        fold: Whether a batch normalisation is folded into the convolution before it. Only the
            newer exporter can leave it as a node.
    """

    shapes: tuple[tuple[int, ...], ...]
    dynamic_batch: bool = True
    opset: int | None = None
    input_names: tuple[str, ...] | None = None
    exporter: Exporter = Exporter.DYNAMO
    fold: bool = True

    def __post_init__(self) -> None:
        if not self.fold and self.exporter is not Exporter.DYNAMO:
            raise UsageError(
                f"the exporter '{self.exporter.value}' always folds batch normalisation: use "
                f"'{Exporter.DYNAMO.value}'"
            )
        if not self.shapes:
            raise UsageError("export needs a shape for each input, such as 1x3x224x224; got none")
        for shape in self.shapes:
            if not shape or min(shape) < 1:
                text = "x".join(map(str, shape))
                raise UsageError(f"an input's shape must hold sizes from 1 upwards, got '{text}'")
        names = self.input_names
        if names is not None and (len(names) != len(self.shapes) or len({*names}) != len(names)):
            raise UsageError(
                f"export needs a different name for each of the {len(self.shapes)} inputs, "
                f"got {list(names)}"
            )
