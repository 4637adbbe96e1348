"""From a torch factory to an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wrg_onnx.errors import needs_torch
from wrg_onnx.report.records import ExportReport

EXPORTERS = ("dynamo", "torchscript")


def export(  # noqa: PLR0913 - one parameter for each option of the command
    factory: str,
    output: Path,
    *,
    shapes: Sequence[tuple[int, ...]],
    weights: Path | None = None,
    names: Sequence[str] = (),
    static_batch: bool = False,
    opset: int | None = None,
    exporter: str = EXPORTERS[0],
    force: bool = False,
) -> ExportReport:
    """Write a torch module as ONNX, and keep the file only if ONNX Runtime agrees with torch.

    Args:
        factory: ``module:function``, importable from the current folder.
        output: The file to write.
        shapes: One shape per input, the batch first.
        weights: A state dict, read without running any code in it.
        names: The inputs' names; empty for the parameters of ``forward``.
        static_batch: Whether the batch is fixed to the one in ``shapes``.
        opset: The opset version, None for the exporter's choice.
        exporter: Which of torch's exporters.
        force: Whether an existing file may be replaced.

    Raises:
        MissingPackageError: If torch is not installed.
        WrgError: One of its kinds; then no file was written.
    """
    with needs_torch("export"):
        from wrg_onnx.export.write import Exporter, export_factory
    result = export_factory(
        factory,
        shapes=shapes,
        output=output,
        state_dict=weights,
        dynamic_batch=not static_batch,
        opset=opset,
        input_names=tuple(names) or None,
        force=force,
        exporter=Exporter(exporter),
    )
    return ExportReport(
        factory=factory,
        output=str(result.path),
        parameters=result.parameters,
        error=result.max_relative_error,
        opset=result.opset,
        file_bytes=result.path.stat().st_size,
        seconds=result.seconds,
    )
