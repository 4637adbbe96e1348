"""``wrg_onnx.bench``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wrg_onnx.choices import Provider
from wrg_onnx.errors import UsageError
from wrg_onnx.pipeline.api.arguments import (
    AnyModel,
    AnySize,
    read_count,
    read_counts,
    read_data,
    read_flag,
    read_model,
    read_text,
)
from wrg_onnx.pipeline.api.recorded import recorded
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import Result
    from wrg_onnx.report.records import BenchReports


@recorded
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
    batch: int | Sequence[int] | None = None,
    rounds: int = 50,
    warmup: int = 5,
    processes: int = 5,
    threads: int | None = None,
    profile: bool = False,
    provider: Provider | str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Result[BenchReports]:
    """Time ONNX models side by side in ONNX Runtime, in interleaved rounds.

    Each model runs in processes of its own, which take turns in random order. A difference counts
    only if it is larger than what processes and turns leave open. For each provider and batch it
    ends after ``rounds`` or a minute, whichever is sooner.

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
        batch: Samples in a run, one number or several to measure one after the other, where the
            inputs leave it open. None is what the inputs say, or 1.
        rounds: Turns of each model, at most, in all its processes together; a model that is fast
            runs up to 10 times in a turn.
        warmup: Runs in each process before the clock counts.
        processes: How many processes of each model, one after the other: each lays out memory
            anew.
        threads: Threads of ONNX Runtime in a process. None is one for each core that this process
            may run on.
        profile: Whether to look into the models layer by layer, on the CPU.
        provider: ``"auto"`` for the CPU and, where it is there, CUDA; or any provider of this ONNX
            Runtime, such as ``"cpu"``, ``"openvino"`` or ``"CoreMLExecutionProvider"``.
        seed: Seed of the input, and of the order in each round.
        progress: Called with a stage's name, how much of it is done, and how much there is.

    Returns:
        A report per provider and batch in ``result.report.providers``; each holds by model the
        median, mean and 95th percentile in milliseconds, throughput and peak memory, the ratio to
        the first model with its 95 % interval, and with ``profile`` the time of each layer.

    Raises:
        UsageError: If a parameter is out of its range, the models' inputs differ, or a path is
            given twice.
        ModelError: If a model is not a valid one, its external data is not there, or its process
            dies.
        DataError: If ONNX Runtime fails on the inputs, such as for a batch that is too large.
        MissingPackageError: If ONNX Runtime is not installed.

    Examples:
        >>> import wrg_onnx
        >>> result = wrg_onnx.bench("models/tiny_unet.onnx", rounds=5, provider="cpu")
        >>> result.report.providers[0].latency["models/tiny_unet.onnx"].median_ms > 0
        True
    """
    from wrg_onnx.latency import Timing
    from wrg_onnx.pipeline import bench as stages
    from wrg_onnx.pipeline.config import BenchConfig

    if not models:
        raise UsageError("bench takes at least one model")
    return stages.bench(
        [read_model("models", model) for model in models],
        read_data(
            size=size, scale=scale, mean=mean, std=std, order=order, layout=layout, shape=shape,
            value=value,
        ),
        BenchConfig(
            provider=provider.value if isinstance(provider, Provider)
            else read_text("provider", provider),
            threads=None if threads is None else read_count("threads", threads),
            batches=None if batch is None else read_counts("batch", batch),
            timing=Timing(
                read_count("warmup", warmup), read_count("rounds", rounds), budget_s=60.0
            ),
            processes=read_count("processes", processes),
            profile=read_flag("profile", profile),
            seed=read_count("seed", seed),
        ),
        progress=progress or silent,
    )  # fmt: skip
