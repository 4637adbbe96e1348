"""``wrg_onnx.bench``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wrg_onnx.choices import Provider
from wrg_onnx.errors import UsageError
from wrg_onnx.pipeline.api.arguments import (
    AnyModel,
    AnySize,
    read_choice,
    read_count,
    read_data,
    read_model,
)

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import Result
    from wrg_onnx.report.records import BenchReports


def bench(
    *models: AnyModel,
    size: AnySize | None = None,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    order: str | None = None,
    layout: str | None = None,
    shape: Mapping[str, Sequence[int]] | None = None,
    value: Mapping[str, float] | None = None,
    rounds: int = 50,
    warmup: int = 5,
    provider: Provider | str = "auto",
    seed: int = 0,
) -> Result[BenchReports]:
    """Time ONNX models side by side in ONNX Runtime, in interleaved rounds.

    It ends after ``rounds`` or a minute, whichever is sooner.

    Args:
        models: Paths, bytes of files, or ``onnx.ModelProto`` messages. All must take the same
            inputs.
        size: (height, width) in pixels of every image input that leaves them open, or one number
            for both. None is 224.
        scale: How images are fed, as for ``wrg_onnx.prune``; the input is random here, but it is
            checked. So are ``mean``, ``std``, ``order`` and ``layout``.
        mean: See ``scale``.
        std: See ``scale``.
        order: See ``scale``.
        layout: See ``scale``.
        shape: Shapes of inputs that leave sizes open, by input.
        value: What fills an input that would be random, by input.
        rounds: Timed runs of each model, at most.
        warmup: Runs of each model before the clock counts.
        provider: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the CPU and, where it is there, CUDA.
        seed: Seed of the input, and of the order in each round.

    Returns:
        A report per provider in ``result.report.providers``; each holds by model the median, mean
        and 95th percentile in milliseconds.

    Raises:
        UsageError: If a parameter is out of its range, the models' inputs differ, or a path is
            given twice.
        ModelError: If a model is not a valid one, or its external data is not there.
        MissingPackageError: If ONNX Runtime is not installed.

    Examples:
        >>> import wrg_onnx
        >>> result = wrg_onnx.bench("models/tiny_unet.onnx", rounds=5, provider="cpu")
        >>> result.report.providers[0].latency["models/tiny_unet.onnx"].median_ms > 0
        True
    """
    from wrg_onnx.latency import Timing
    from wrg_onnx.pipeline import bench as stages

    if not models:
        raise UsageError("bench takes at least one model")
    return stages.bench(
        [read_model("models", model) for model in models],
        read_data(
            size=size, scale=scale, mean=mean, std=std, order=order, layout=layout, shape=shape,
            value=value,
        ),
        provider=read_choice("provider", Provider, provider),
        timing=Timing(
            read_count("warmup", warmup), read_count("rounds", rounds), budget_s=60.0
        ),
        seed=read_count("seed", seed),
    )  # fmt: skip
