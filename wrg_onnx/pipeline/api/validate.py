"""``wrg_onnx.validate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wrg_onnx.choices import Provider
from wrg_onnx.pipeline.api.arguments import (
    AnyModel,
    AnyPath,
    AnySize,
    read_choice,
    read_count,
    read_data,
    read_flag,
    read_model,
    read_optional_path,
)
from wrg_onnx.pipeline.api.paged import paged
from wrg_onnx.pipeline.api.recorded import recorded
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import Result
    from wrg_onnx.report.records import ValidateReport


@paged
@recorded
def validate(
    original: AnyModel,
    pruned: AnyModel,
    *,
    data: AnyPath | None = None,
    samples: int = 32,
    size: AnySize | None = None,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    order: str | None = None,
    layout: str | None = None,
    shape: Mapping[str, Sequence[int]] | None = None,
    value: Mapping[str, float] | None = None,
    export_inputs: AnyPath | None = None,
    report: AnyPath | None = None,  # noqa: ARG001 - `paged` writes it
    force: bool = False,
    strict: bool = False,
    provider: Provider | str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Result[ValidateReport]:
    """Hold a pruned model against its original: structure, saliency metrics, latency.

    Of ``data`` the quarter is judged that ``wrg_onnx.prune`` with the same seed does not look at.
    With a wrong structure nothing is run; that is no error here, ``result.report.problems`` says
    what is wrong.

    Args:
        original: A path, the bytes of a file, or an ``onnx.ModelProto``, which is never changed.
        pruned: Likewise; it may have been recovered or fine-tuned.
        data: A folder with ``images/`` and maybe ``masks/``, or with ``.npz`` files of inputs by
            name. None takes generated images, or random inputs where the model takes no image.
        samples: How many samples are left out of judging, as ``wrg_onnx.prune`` looks at them.
        size: (height, width) in pixels of every image input that leaves them open, or one number
            for both. None is 224.
        scale: Multiplies the pixel, which is in [0, 255]. None is 1/255.
        mean: A number per channel, subtracted after scaling. None is ImageNet's; 0 for gray.
        std: A number per channel, divided by last. None is ImageNet's; 1 for gray.
        order: Order of the colour channels, ``"rgb"`` or ``"bgr"``. None is rgb.
        layout: ``"NCHW"`` or ``"NHWC"``. None follows from the input's shape.
        shape: Shapes of inputs that leave sizes open, by input.
        value: What fills an input that would be random, by input.
        export_inputs: A file, ending in ``.json``, for what the pruned model is fed in the first 16
            samples that judge; what it gives for them goes to ``NAME.outputs.json`` beside it.
            NVIDIA's Polygraphy reads both, and repeats the check on TensorRT.
        report: An HTML file to write the report to, as one page; None for none.
        force: Whether these files may be replaced where they are there.
        strict: Whether an output of the original that is the same everywhere on all samples, which
            tells nothing, is among the problems; else it is noted.
        provider: Where ONNX Runtime computes: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        seed: Seed of the division and of everything random, at least 0.
        progress: Called with a stage's name, how much of it is done, and how much there is.

    Returns:
        The report: problems of the structure, cost, accuracy and latency of both.

    Raises:
        UsageError: If a parameter is out of its range; the message lists what is allowed.
        OutputError: If the files for Polygraphy cannot be written.
        ModelError: If a model is not a valid one, or its external data is not there.
        DataError: If images, masks or arrays are missing, or do not fit the model.
        MissingPackageError: If ONNX Runtime or pysodmetrics is not installed.

    Examples:
        >>> import wrg_onnx
        >>> same = wrg_onnx.validate("models/tiny_unet.onnx", "models/tiny_unet.onnx")
        >>> same.report.problems, same.report.accuracy.agreement[0].relative_error
        ((), 0.0)
    """
    from wrg_onnx.pipeline import validate as stages
    from wrg_onnx.pipeline.config import ValidateConfig

    config = ValidateConfig(
        data=read_data(
            data=data, samples=samples, size=size, scale=scale, mean=mean, std=std, order=order,
            layout=layout, shape=shape, value=value,
        ),
        provider=read_choice("provider", Provider, provider),
        seed=read_count("seed", seed),
        strict=read_flag("strict", strict),
    )  # fmt: skip
    return stages.validate(
        read_model("original", original),
        read_model("pruned", pruned),
        config,
        export_inputs=read_optional_path("export_inputs", export_inputs),
        force=read_flag("force", force),
        progress=progress or silent,
    )
