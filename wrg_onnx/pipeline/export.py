"""From a torch module to an ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from wrg_onnx.errors import UsageError, needs_torch
from wrg_onnx.export.options import ExportOptions
from wrg_onnx.files import scratch_folder
from wrg_onnx.graph import load
from wrg_onnx.pipeline.result import ModelResult
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.records import ExportReport


def export(
    factory: str | Callable[..., Any],
    output: Path | None,
    options: ExportOptions,
    *,
    weights: Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> ModelResult[ExportReport]:
    """Write a torch module as ONNX, and keep the file only if ONNX Runtime agrees with torch.

    Args:
        factory: ``module:function``, importable from the current folder, or a torch module.
        output: The file to write; None for none.
        options: Shapes, batch, opset, names and exporter.
        weights: A state dict for what ``module:function`` makes, or a checkpoint that holds one,
            read without running code in it.
        force: Whether an existing file may be replaced.
        progress: Told which stage begins.

    Returns:
        The model and the report. The file is complete by then.

    Raises:
        MissingPackageError: If torch is not installed.
        WrgError: One of its kinds; then no file was written.
    """
    progress("export", 0, 0)
    if output is None:
        # torch writes a file in any case.
        with scratch_folder() as folder:
            report = _write(factory, folder / "model.onnx", options, weights, force=force)
            return ModelResult(replace(report, output=None), load(folder / "model.onnx"))
    return ModelResult(_write(factory, output, options, weights, force=force), output)


def _write(
    factory: str | Callable[..., Any],
    output: Path,
    options: ExportOptions,
    weights: Path | None,
    *,
    force: bool,
) -> ExportReport:
    with needs_torch("export"):
        from wrg_onnx.export.write import export_factory, export_module
    if isinstance(factory, str):
        result = export_factory(factory, output, options, weights=weights, force=force)
    elif weights is not None:
        raise UsageError("weights are for a factory 'module:function': load them into the module")
    else:
        module: Any = factory  # what it is, the export looks at
        result = export_module(module, output, options, force=force)
    return ExportReport(
        factory=factory if isinstance(factory, str) else type(factory).__name__,
        output=str(result.path),
        parameters=result.parameters,
        error=result.max_relative_error,
        opset=result.opset,
        file_bytes=result.path.stat().st_size,
        seconds=result.seconds,
        weights=result.weights,
        notes=tuple(f"while it was exported, torch warned: {line}" for line in result.warnings),
    )
