"""``wrg_onnx.finetune``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wrg_onnx.choices import BatchNormUse, Device, Provider
from wrg_onnx.errors import ShareDone, UsageError
from wrg_onnx.pipeline.api.arguments import (
    AnyModel,
    AnyPath,
    AnySize,
    read_choice,
    read_count,
    read_data,
    read_flag,
    read_model,
    read_number,
    read_optional_path,
    read_text,
)
from wrg_onnx.pipeline.api.recorded import recorded
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.data.workers import Workers
    from wrg_onnx.finetune import CheckpointFile
    from wrg_onnx.pipeline.result import ModelResult
    from wrg_onnx.report.records import FinetuneReport

GENERATED = 256
"""How many images the built-in generator makes for training."""


@recorded
def finetune(
    model: AnyModel,
    output: AnyPath | None = None,
    *,
    teacher: AnyModel | None = None,
    data: AnyPath | None = None,
    samples: int | None = None,
    epochs: int = 20,
    batch: int = 8,
    learning_rate: float = 5e-4,
    weight_decay: float = 1e-4,
    warmup: float = 0.1,
    patience: int = 5,
    ema: float = 0.99,
    loss: str | None = None,
    distil: float = 1.0,
    augment: bool = True,
    batch_norm: BatchNormUse | str = "frozen",
    device: Device | str = "auto",
    checkpoint: AnyPath | None = None,
    resume: bool = False,
    size: AnySize | None = None,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    order: str | None = None,
    layout: str | None = None,
    shape: Mapping[str, Sequence[int]] | None = None,
    value: Mapping[str, float] | None = None,
    evaluate: bool = True,
    external_data: bool = False,
    force: bool = False,
    provider: Provider | str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> ModelResult[FinetuneReport]:
    """Train the weights of an ONNX model on your images, with its original as the teacher.

    With masks the loss is BCE + IoU + SSIM of the saliency map. To this, or instead of it, come the
    teacher's outputs and feature maps. A quarter of ``data`` is left for judging. A tenth of the
    rest is held out and chooses the weights, by max F where there are masks: those of the best
    epoch, or on the way to it from those before training, which are a candidate, too. It needs
    torch.

    Args:
        model: A path, the bytes of a file, or an ``onnx.ModelProto``, which is never changed;
            usually pruned.
        output: The file to write, which ends in ``.onnx``; it is complete when the call returns.
            None writes no model: the result holds it.
        teacher: The original, whose outputs are learnt; None for none.
        data: A folder with ``images/`` and maybe ``masks/``, or with ``.npz`` files of inputs by
            name; or ``"source:where"`` of a data source of others. None takes generated images, or
            random inputs where the model takes no image.
        samples: How many samples to train on, at most. None is all, or 256 generated ones.
        epochs: Passes over the samples, at most.
        batch: Samples per step.
        learning_rate: The largest step, as a share of each weight's size.
        weight_decay: Of AdamW, at least 0.
        warmup: Share of the steps in which the learning rate rises, in [0, 1).
        patience: Epochs without a gain on the held-out samples before it stops.
        ema: Decay of the averaged weights, which are judged and returned, in [0, 1).
        loss: Your own loss, as ``"module:function"`` of (outputs, mask, teacher's outputs), or the
            name of one that an installed package brings, in place of the built-in one.
        distil: Weight of the teacher's outputs and feature maps, at least 0.
        augment: Whether images are flipped, cropped and recoloured.
        batch_norm: Whether the statistics of batch normalisation stay (``"frozen"``), or follow the
            data (``"train"``).
        device: Where torch trains: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        checkpoint: A file that keeps the state of the run, after every epoch; None for none.
        resume: Whether to go on from ``checkpoint``, if it is there.
        size: How images are fed, as for ``wrg_onnx.prune``; so are ``scale``, ``mean``, ``std``,
            ``order``, ``layout``, ``shape`` and ``value``.
        scale: See ``size``.
        mean: See ``size``.
        std: See ``size``.
        order: See ``size``.
        layout: See ``size``.
        shape: See ``size``.
        value: See ``size``.
        evaluate: Whether accuracy is measured before and after.
        external_data: Whether the weights go to ``NAME.data`` beside ``output``; they do so anyway
            if they have 2 GiB or more.
        force: Whether an existing ``output`` or ``checkpoint`` may be replaced.
        provider: Where ONNX Runtime judges: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        seed: Seed of everything random, at least 0.
        progress: Called with the stage's name or the epoch and its loss, how many steps are done,
            and how many there are.
        workers: The processes that share each step, from ``wrg_onnx.join_workers()`` under
            ``torchrun``; None for this one alone.

    Returns:
        The trained model (``result.model``, ``result.save(path)``) and the report. If the judging
        fails, ``result.report.unfinished`` says why.

    Raises:
        UsageError: If a parameter is out of its range; the message lists what is allowed.
        ModelError: If a model is not a valid one, or no weight can be trained.
        UnsupportedOperatorError: If an operator cannot be trained through.
        DataError: If there are too few samples, or they do not fit the model.
        StatisticsError: If loss or gradients are not finite.
        ValidationError: If ONNX Runtime does not compute what was trained.
        OutputError: If ``output`` or ``checkpoint`` cannot be written.
        MissingPackageError: If torch is not installed.
        ShareDone: In a process of ``workers`` beside the first, which has the result.

    Examples:
        >>> import wrg_onnx
        >>> pruned = wrg_onnx.prune("models/tiny_unet.onnx", ratio=0.3, criterion="l1").model
        >>> result = wrg_onnx.finetune(
        ...     pruned, teacher="models/tiny_unet.onnx", samples=16, epochs=1, evaluate=False
        ... )
        >>> result.report.chosen in result.report.between
        True
    """
    from wrg_onnx.data.workers import Alone
    from wrg_onnx.finetune import FinetuneOptions
    from wrg_onnx.pipeline import finetune as stages
    from wrg_onnx.pipeline.config import FinetuneConfig

    options = FinetuneOptions(
        epochs=read_count("epochs", epochs),
        batch=read_count("batch", batch),
        learning_rate=read_number("learning_rate", learning_rate),
        weight_decay=read_number("weight_decay", weight_decay),
        warmup=read_number("warmup", warmup),
        patience=read_count("patience", patience),
        ema=read_number("ema", ema),
        loss=None if loss is None else read_text("loss", loss),
        distil=read_number("distil", distil),
        augment=read_flag("augment", augment),
        batch_norm=read_choice("batch_norm", BatchNormUse, batch_norm),
        device=read_choice("device", Device, device),
        seed=read_count("seed", seed),
        checkpoint=_checkpoint(checkpoint, resume=resume, force=force),
        workers=workers or Alone(),
    )
    most = sys.maxsize if data is not None else GENERATED
    config = FinetuneConfig(
        options,
        read_data(
            data=data, samples=most if samples is None else samples, size=size, scale=scale,
            mean=mean, std=std, order=order, layout=layout, shape=shape, value=value,
        ),
        read_choice("provider", Provider, provider),
        evaluate=read_flag("evaluate", evaluate),
    )  # fmt: skip
    result = stages.finetune(
        read_model("model", model),
        None if teacher is None else read_model("teacher", teacher),
        read_optional_path("output", output),
        config,
        external_data=read_flag("external_data", external_data),
        force=force,
        progress=progress or silent,
    )
    if result is None:
        raise ShareDone
    return result


def _checkpoint(checkpoint: AnyPath | None, *, resume: bool, force: bool) -> CheckpointFile | None:
    from wrg_onnx.finetune import CheckpointFile

    resume, force = read_flag("resume", resume), read_flag("force", force)
    path = read_optional_path("checkpoint", checkpoint)
    if resume and path is None:
        raise UsageError("resume goes on from a checkpoint: name it (--checkpoint)")
    return None if path is None else CheckpointFile(path, resume, force)
