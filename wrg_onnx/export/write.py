"""From a torch module to an ONNX file that is checked, compared and complete, or to no file.

Both of torch's exporters fold an inference-mode batch normalisation into the convolution before
it; one that follows anything else stays a BatchNormalization node.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from wrg_onnx.choices import Exporter
from wrg_onnx.errors import (
    MissingPackageError,
    ModelError,
    OutputError,
    UsageError,
    one_line,
    spoken,
)
from wrg_onnx.export.factory import build_module
from wrg_onnx.export.options import ExportOptions
from wrg_onnx.export.parity import compare_outputs, random_sample, run_module
from wrg_onnx.export.state_dict import load_weights
from wrg_onnx.export.warned import told_warnings
from wrg_onnx.files import check_output, part_folder
from wrg_onnx.graph.pair import take_places
from wrg_onnx.graph.save import ONE_FILE_BYTES
from wrg_onnx.graph.session import runtime

BATCH = "batch"
"""The name of the batch dimension in the file, where it is free."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written.

    Attributes:
        path: The ONNX file.
        parameters: The numbers in the module's parameters; buffers are not counted.
        max_relative_error: The largest difference from torch, relative to the output's maximum.
        opset: The version of the file's default operator set.
        seconds: How long export, check and comparison took.
        weights: Which part of the file of weights was taken; None for all of it, or no file.
        warnings: What torch, or the module, warned of meanwhile.
    """

    path: Path
    parameters: int
    max_relative_error: float
    opset: int
    seconds: float
    weights: str | None = None
    warnings: tuple[str, ...] = ()


def export_factory(
    factory: str,
    output: Path,
    options: ExportOptions,
    *,
    weights: Path | None = None,
    force: bool = False,
) -> ExportResult:
    """Build a module from ``module:function``, load its weights and write it as ONNX.

    A batch normalisation that follows a convolution is folded into it; another one stays a node.

    Args:
        factory: ``module:function``, importable from the current folder; called with no arguments.
        output: The file to write.
        options: Shapes, batch, opset, names and exporter.
        weights: A state dict, as ``.safetensors`` or as what ``torch.save`` makes of it, or the
            checkpoint of a training script that holds one. Without it the weights are the factory's
            own, drawn under a fixed seed.
        force: Whether an existing file may be replaced.

    Returns:
        What was written.

    Raises:
        UsageError: If the factory is not usable.
        ModelError: If the weights do not fit, the export fails, or its outputs differ.
        OutputError: If the file cannot be written.
        MissingPackageError: If onnxscript, safetensors or ONNX Runtime is not installed.
    """
    check_output(output, force=force)
    module = build_module(factory)
    taken = None if weights is None else load_weights(module, weights)
    return replace(export_module(module, output, options, force=force), weights=taken)


def export_module(
    module: nn.Module, output: Path, options: ExportOptions, *, force: bool = False
) -> ExportResult:
    """Write a module in inference mode as ONNX, if ONNX Runtime computes what torch computes.

    The weights lie in the file itself, or in ``NAME.data`` beside it above 2 GB. The paths and
    stack traces that torch adds to each node are left out.

    Args:
        module: The module, on the CPU. Its mode is restored.
        output: The file to write. Missing folders are made.
        options: Shapes, batch, opset, names and exporter.
        force: Whether an existing file may be replaced.

    Returns:
        What was written.

    Raises:
        UsageError: If it is no torch module.
        ModelError: If the export fails, or its outputs differ from torch's.
        OutputError: If the file cannot be written.
        MissingPackageError: If onnxscript or ONNX Runtime is not installed.
    """
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"export takes 'module:function' or a torch.nn.Module, got {type(module).__name__}"
        )
    check_output(output, force=force)
    runtime()
    start = time.perf_counter()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            _inference(module),
            told_warnings() as warned,
            part_folder(output) as folder,
        ):
            # The final name inside a temporary folder: external data is found by its file's name.
            part = folder / output.name
            runs = run_module(module, options.shapes, _batches(options))
            _write(module, part, options)
            opset = _finish(part, options)
            difference = compare_outputs(part, runs, _advice(options))
            files = sorted(folder.iterdir())
            for file in files:
                check_output(output.with_name(file.name), force=force)
            take_places(files, output)
    except OSError as error:
        raise OutputError(f"'{output}': cannot be written: {error.strerror or error}") from error
    parameters = sum(p.numel() for p in module.parameters())
    seconds = time.perf_counter() - start
    return ExportResult(output, parameters, difference, opset, seconds, warnings=tuple(warned))


@contextmanager
def _inference(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def _batches(options: ExportOptions) -> tuple[int | None, ...]:
    """Return the batches to run at; None is the one in the shapes."""
    return (1, 2) if options.dynamic_batch else (None,)


def _write(module: nn.Module, path: Path, options: ExportOptions) -> None:
    """Let torch write the file."""
    if options.exporter is Exporter.DYNAMO and importlib.util.find_spec("onnxscript") is None:
        raise MissingPackageError("onnxscript", purpose="export", extra="torch")
    # Tracing at batch 1 would let torch take the batch for a constant.
    sample = random_sample(options.shapes, _batches(options)[-1])
    names = list(options.input_names or _parameter_names(module, len(sample)))
    state = [*module.parameters(), *module.buffers()]
    choices: dict[str, Any] = {"dynamo": True, "dynamic_shapes": None}
    if options.exporter is Exporter.DYNAMO:
        size = sum(t.numel() * t.element_size() for t in state)
        choices["external_data"] = size >= ONE_FILE_BYTES
        # Folding is one of its optimisations, which come together or not at all.
        choices["optimize"] = options.fold
        if options.dynamic_batch:
            batch = torch.export.Dim(BATCH)
            choices["dynamic_shapes"] = tuple({0: batch} for _ in sample)
    else:
        choices = {"dynamo": False}
        if options.dynamic_batch:
            choices["dynamic_axes"] = {name: {0: BATCH} for name in names}
    try:
        with _quiet():
            torch.onnx.export(
                module, sample, path, input_names=names, opset_version=options.opset,
                verbose=False, **choices,
            )  # fmt: skip
    except (OSError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the exporters raise whatever they meet
        raise ModelError(
            f"torch cannot export {type(module).__name__}: {spoken(error)}{_advice(options)}"
        ) from error


def _advice(options: ExportOptions) -> str:
    tries = []
    if options.dynamic_batch:
        tries.append("a fixed batch (--static-batch)")
    if options.exporter is Exporter.DYNAMO:
        tries.append("the older exporter (--exporter torchscript)")
    return f"; try {' or '.join(tries)}" if tries else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporter logs about its own parts.

    Both exporters log each optional package that is absent and each version conversion. Whether the
    file is right is not for the log to tell: the checker, the opset and the outputs are compared
    afterwards.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _finish(path: Path, options: ExportOptions) -> int:
    """Strip the traces of this machine, run the checker, and return the opset."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    for part in [model, graph, *graph.node, *graph.initializer, *graph.value_info,
                 *graph.input, *graph.output]:  # fmt: skip
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    path.write_bytes(model.SerializeToString(deterministic=True))
    opset = next(int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if options.opset not in (None, opset):
        raise ModelError(
            f"asked for opset {options.opset}, but the exporter '{options.exporter.value}' makes "
            f"opset {opset} and cannot convert this model{_advice(options)}"
        )
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"the ONNX checker refuses what torch exported: {one_line(error)}"
        ) from error
    return opset


def _parameter_names(module: nn.Module, count: int) -> list[str]:
    parameters = inspect.signature(module.forward).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return names[:count] if len(names) >= count else [f"input_{k}" for k in range(count)]
