"""``wrg_onnx.export``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from wrg_onnx.choices import Exporter
from wrg_onnx.pipeline.api.arguments import (
    AnyPath,
    AnyShapes,
    read_choice,
    read_count,
    read_flag,
    read_optional_path,
    read_shapes,
    read_texts,
)
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import ModelResult
    from wrg_onnx.report.records import ExportReport


def export(
    factory: str | Callable[..., Any],
    output: AnyPath | None = None,
    *,
    input: AnyShapes,  # noqa: A002 - named as the command's option
    weights: AnyPath | None = None,
    input_name: str | Sequence[str] = (),
    static_batch: bool = False,
    opset: int | None = None,
    exporter: Exporter | str = "dynamo",
    force: bool = False,
    progress: Progress | None = None,
) -> ModelResult[ExportReport]:
    """Turn a torch module into ONNX, and keep it only if ONNX Runtime agrees with torch.

    Args:
        factory: A ``torch.nn.Module``, or ``"module:function"``, importable from the current
            folder, whose function takes no argument and returns one.
        output: The file to write, complete when the call returns. None writes none: the result
            holds the model.
        input: The shape of the float32 input, the batch first, or of each if there are several.
        weights: A state dict for what ``"module:function"`` makes: a ``.safetensors``, ``.pt`` or
            ``.pth`` file, read without running code in it. It may be wrapped as training scripts
            do (``{"state_dict": ...}``, ``module.`` before each key) if exactly one fits.
        input_name: Name of each input; empty for the parameters of ``forward``.
        static_batch: Whether the batch is fixed to the one in ``input``.
        opset: The version of the operator set; None for the exporter's choice.
        exporter: Which of torch's exporters: ``"dynamo"`` or ``"torchscript"``.
        force: Whether an existing ``output`` may be replaced.
        progress: Called with a stage's name, how much of it is done, and how much there is.

    Returns:
        The model (``result.model``, ``result.save(path)``) and the report.

    Raises:
        UsageError: If the factory or a parameter is not usable.
        ModelError: If the weights do not fit, the export fails, or its outputs differ.
        OutputError: If ``output`` cannot be written.
        MissingPackageError: If torch, onnxscript, safetensors or ONNX Runtime is not installed.

    Examples:
        >>> import wrg_onnx
        >>> net = "models.small_unet:small_unet"
        >>> result = wrg_onnx.export(net, input=(1, 3, 64, 64), exporter="torchscript")
        >>> [value.name for value in result.model.graph.input]
        ['image']
    """
    from wrg_onnx.export.options import ExportOptions
    from wrg_onnx.pipeline import export as stages

    options = ExportOptions(
        shapes=read_shapes("input", input),
        dynamic_batch=not read_flag("static_batch", static_batch),
        opset=None if opset is None else read_count("opset", opset),
        input_names=read_texts("input_name", input_name) or None,
        exporter=read_choice("exporter", Exporter, exporter),
    )
    return stages.export(
        factory,
        read_optional_path("output", output),
        options,
        weights=read_optional_path("weights", weights),
        force=read_flag("force", force),
        progress=progress or silent,
    )
