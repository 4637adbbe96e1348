"""``wrg_onnx.prune``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wrg_onnx.choices import BudgetKind, Precision, Provider, Recovery
from wrg_onnx.errors import ShareDone, UsageError
from wrg_onnx.pipeline.api.arguments import (
    AnyModel,
    AnyPath,
    AnySize,
    read_cache_folder,
    read_choice,
    read_count,
    read_criterion,
    read_data,
    read_flag,
    read_limits,
    read_model,
    read_number,
    read_optional_path,
)
from wrg_onnx.pipeline.api.paged import paged
from wrg_onnx.pipeline.api.recorded import recorded
from wrg_onnx.pipeline.api.spoken_call import words_of_call
from wrg_onnx.pipeline.api.target import read_max_drop, read_target
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.data.workers import Workers
    from wrg_onnx.pipeline.result import ModelResult
    from wrg_onnx.report.records import PruneReport
    from wrg_onnx.select import Criterion, Scope


@paged
@recorded
def prune(
    model: AnyModel,
    output: AnyPath | None = None,
    *,
    ratio: float | None = None,
    max_drop: float | None = None,
    metric: str | None = None,
    budget: BudgetKind | str | None = None,
    max_params: float | None = None,
    max_macs: float | None = None,
    max_bytes: float | None = None,
    max_latency_ms: float | None = None,
    align: int | str | None = None,
    criterion: Criterion | str = "repair",
    scope: Scope | str = "global",
    floor: float = 0.1,
    recover: Recovery | str | None = None,
    rounds: int = 1,
    epochs: int | None = None,
    sparsify: int = 0,
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
    at_objects: float = 0.5,
    certainty: float | None = None,
    cache: AnyPath | bool = True,
    amp: bool = False,
    keep: str | Sequence[str] = (),
    only: str | Sequence[str] = (),
    head_dims: bool = False,
    through_norms: bool = False,
    half: bool = False,
    int8: bool = False,
    evaluate: bool | None = None,
    strict: bool = False,
    external_data: bool = False,
    force: bool = False,
    provider: Provider | str = "auto",
    seed: int = 0,
    details: bool = False,
    report: AnyPath | None = None,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> ModelResult[PruneReport]:
    """Remove whole channels from an ONNX model, prove it, recover it, and measure what is left.

    The pruned model has the same inputs and outputs. ONNX Runtime shows that it computes what
    ``model`` does with the removed channels silenced; only then the surviving weights are solved
    for, layer by layer, so that each makes again what it made before.

    Args:
        model: A path, the bytes of a file, or an ``onnx.ModelProto``, which is never changed.
        output: The file to write, which ends in ``.onnx``; it is complete when the call returns.
            None writes no model: the result holds it.
        ratio: Share of the budget to remove, in [0, 1). Either this, ``max_drop`` or one limit.
        max_drop: How much worse the model may get, in [0, 1): the largest ratio is searched for at
            which the metric, recovered and on held-out samples, gets worse by no more. The search
            is judged on other samples than its answer, if there are enough. ``report.search`` has
            every cut that was tried, and how certain the answer is.
        metric: What may get worse, of ``max_drop`` alone: ``"max F"``, ``"mean F"``,
            ``"weighted F"``, ``"S-measure"``, ``"max E"``, ``"MAE"``, each of ``"size-invariant
            MAE"``, ``"size-invariant max F"`` and ``"size-invariant mean F"``, or ``"relative
            error"``, that of the output furthest from the original's. None is max F with masks and
            a saliency map, and the relative error without.
        budget: The quantity that ``ratio`` speaks of: ``"params"``, ``"macs"``, ``"bytes"`` of the
            file, or ``"latency"``: what a run takes in ONNX Runtime on this machine, as a table of
            its layers tells that is measured first, and then the model itself. None is parameters.
        max_params: How many parameters may be left.
        max_macs: How many multiply-accumulate operations may be left, at batch 1.
        max_bytes: How large the file may be.
        max_latency_ms: How many milliseconds a run may take, where the original takes what it did
            when the table was measured.
        align: Layers are kept in multiples of so many channels, or in whole if they are narrower;
            ``"auto"`` takes what this machine's kernels like, and 1 is any number. What rounding
            gives back are the best channels of each layer. None is ``"auto"`` with a budget of
            latency, else 1.
        criterion: How a channel's worth is scored: ``"repair"`` asks what remains lost once
            recovery has made up for the channel; ``"sel"`` is the product of ``"w"``, the norm of
            its filter, ``"r"``, the rank of its feature map, and ``"g"``, what its removal does to
            the loss. ``"wr"``, ``"wg"`` and ``"rg"`` are products, too, ``"sel-repair"`` of the
            first two. Others are ``"l1"``, ``"l2"``, ``"fpgm"``, ``"act"``, ``"bn"``,
            ``"random"``, ``"hrank"`` (is r) and ``"taylor"`` (is g). Those with g need torch.
        scope: ``"global"``, where all channels compete, or ``"uniform"``, where each layer loses
            the same share.
        floor: Share of each layer that stays at least, in (0, 1].
        recover: How surviving weights make up for removed ones: ``"none"``, ``"bias"``, ``"ridge"``
            or ``"finetune"``. None is ridge with ``data`` or a criterion that looks at images.
        rounds: Steps to the ratio, at least 1; each is measured, cut and recovered.
        epochs: Passes over the samples, of ``recover="finetune"`` alone; None is 20.
        sparsify: Passes over ``data`` before the cut, in which what is going to die fades while the
            rest of the model learns to do without; 0 for none. It needs ``data`` and torch.
        data: A folder with ``images/`` and maybe ``masks/`` of the same names, or with ``.npz``
            files of inputs by name; or ``"source:where"`` of a data source of others
            (docs/extending.md). None takes generated images of tiny objects, or random inputs
            where the model takes no image.
        samples: How many samples statistics are taken from, at most.
        size: (height, width) in pixels of every image input that leaves them open, or one number
            for both. None is 224.
        scale: Multiplies the pixel, which is in [0, 255]. None is 1/255.
        mean: A number per channel, subtracted after scaling. None is ImageNet's; 0 for gray.
        std: A number per channel, divided by last. None is ImageNet's; 1 for gray.
        order: Order of the colour channels, ``"rgb"`` or ``"bgr"``. None is rgb.
        layout: ``"NCHW"`` or ``"NHWC"``. None follows from the input's shape.
        shape: Shapes of inputs that leave sizes open, by input: ``{"state": (2, 1, 128)}``. Else an
            open batch is 1, an image 224 x 224, and other open sizes are 16, or the first of a list
            at which the model runs.
        value: What fills an input that would be random, by input: ``{"sr": 16000}``. Branches that
            it decides are laid flat: the pruned model is for that number alone.
        at_objects: Which share of the places where layers are looked at, for ``"repair"`` and
            ridge, lies on the object as the model's own saliency map sees it, in [0, 1]. Of a
            model without such a map they are drawn evenly.
        certainty: Measuring ends once the expected overlap of the choice with that of endless
            samples reaches this, in (0, 1], for a factor that hardly differs between samples before
            that. None is .98; 1 measures every factor on all samples. ``"repair"`` looks at all of
            them: if this is given, the report tells how certain its choice is.
        cache: Where what was measured is kept, by model and images, for runs with another ratio,
            budget or criterion: True for the user's cache folder, False for nowhere, or a folder.
        amp: Whether the criterion's gradients are computed in bfloat16.
        keep: Names of nodes and weights that stay whole, or globs over them.
        only: Names of those to prune, or globs; empty for all.
        head_dims: Whether attention heads are thinned out instead of removed as a whole.
        through_norms: Whether channels may go that a normalisation takes its statistics over: the
            width of transformers. It computes something else then, and the report says how far.
        half: Whether the model is written in float16 in the end, once it is pruned and recovered;
            its inputs and outputs stay float32.
        int8: Whether it is quantised in the end, with ranges from the samples for statistics; its
            inputs and outputs stay float32. What has no int8 kernel stays in float32, and the
            report names it.
        evaluate: Whether accuracy and latency are measured. None does so if the criterion looks at
            data.
        strict: Whether an operator without a rule is an error, and a layer of which the proof says
            nothing; else the channels of the one stay whole, and the other is noted.
        external_data: Whether the weights go to ``NAME.data`` beside ``output``; they do so anyway
            if they have 2 GiB or more.
        force: Whether an existing ``output`` may be replaced.
        provider: Where ONNX Runtime computes: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        seed: Seed of everything random, at least 0. The same seed gives the same model.
        details: Whether the report has what a page of it shows: the numbers behind the choice, some
            pictures, each layer's time, where and how the run was made (``report.details``). It
            takes a few more runs of the model, and where latency is measured as long as that again.
        report: An HTML file to write the report to, as one page with these details; None writes
            none. ``result.to_html()`` gives the same page.
        progress: Called with a stage's name, how much of it is done, and how much there is (0 where
            that is unknown).
        workers: The processes that share the measuring, from ``wrg_onnx.join_workers()`` under
            ``torchrun``; None for this one alone.

    Returns:
        The pruned model (``result.model``, ``result.save(path)``) and the report
        (``result.report``, ``result.to_dict()``, ``print(result)``). If a stage after the proof
        fails, the model is the last one that is proven: as it was cut where recovery failed, what
        earlier rounds left where a later round did, in float32 where ``half`` or ``int8`` failed.
        ``result.report.unfinished`` says which stage
        is missing and why; it is empty after a whole run.

    Raises:
        UsageError: If a parameter is out of its range; the message lists what is allowed.
        ModelError: If the model is not a valid one, or its external data is not there.
        BudgetError: If the ratio or limit cannot be reached; its attributes say what can. With
            ``max_drop`` if even the smallest cut that was tried makes the model worse than allowed.
        DataError: If images, masks or arrays are missing, or do not fit the model.
        MissingPackageError: If torch, ONNX Runtime or pysodmetrics is needed and not installed.
        ValidationError: If the first cut does not compute what the masked original does, or with
            ``strict`` if the proof says nothing of some of it.
        OutputError: If ``output`` cannot be written.
        WrgError: The base of all these. Whatever is raised, no model file was written.
        ShareDone: In a process of ``workers`` beside the first, which has the result.

    Examples:
        >>> import wrg_onnx
        >>> result = wrg_onnx.prune("models/tiny_unet.onnx", ratio=0.6, criterion="l1")
        >>> f"{result.report.reached:.1%} of the parameters are gone"
        '60.0% of the parameters are gone'
        >>> result.report.before.parameters, result.report.after.parameters
        (659017, 263578)
        >>> bytes_written = result.save("build/tiny_unet.pruned.onnx", force=True)
    """
    arguments = dict(locals())
    from wrg_onnx.data.workers import Alone
    from wrg_onnx.pipeline import prune as stages
    from wrg_onnx.pipeline.config import PruneConfig
    from wrg_onnx.select import Scope

    source = read_model("model", model)
    target = read_optional_path("output", output)
    with_details = read_flag("details", details)
    aim = read_target(
        ratio,
        budget,
        {
            BudgetKind.PARAMS: max_params,
            BudgetKind.MACS: max_macs,
            BudgetKind.BYTES: max_bytes,
            BudgetKind.LATENCY: max_latency_ms,
        },
        read_max_drop(max_drop, metric),
    )
    config = PruneConfig(
        ratio=aim.ratio,
        limit=aim.limit,
        max_drop=aim.max_drop,
        budget=aim.budget,
        align=align,
        external_data=read_flag("external_data", external_data),
        criterion=read_criterion(criterion),
        scope=read_choice("scope", Scope, scope),
        floor=read_number("floor", floor),
        limits=read_limits(keep, only, head_dims, through_norms),
        data=read_data(
            data=data, samples=samples, size=size, scale=scale, mean=mean, std=std, order=order,
            layout=layout, shape=shape, value=value,
        ),
        provider=read_choice("provider", Provider, provider),
        evaluate=None if evaluate is None else read_flag("evaluate", evaluate),
        strict=read_flag("strict", strict),
        seed=read_count("seed", seed),
        recover=None if recover is None else read_choice("recover", Recovery, recover),
        rounds=read_count("rounds", rounds),
        epochs=None if epochs is None else read_count("epochs", epochs),
        sparsify=read_count("sparsify", sparsify),
        at_objects=read_number("at_objects", at_objects),
        certainty=None if certainty is None else read_number("certainty", certainty),
        cache=read_cache_folder(cache),
        workers=workers or Alone(),
        amp=read_flag("amp", amp),
        precision=_precision(half, int8),
    )  # fmt: skip
    if config.workers.index:
        stages.share_calibration(source, config)
        raise ShareDone
    return stages.prune(
        source,
        target,
        config,
        external_data=config.external_data,
        force=read_flag("force", force),
        details=words_of_call(prune, arguments) if with_details or report is not None else None,
        progress=progress or silent,
    )


def _precision(half: bool, int8: bool) -> Precision | None:
    """Read in which numbers the model is written."""
    is_half, is_int8 = read_flag("half", half), read_flag("int8", int8)
    if is_half and is_int8:
        raise UsageError("half and int8 are two ways to write one model: give one of them")
    if is_half:
        return Precision.HALF
    return Precision.INT8 if is_int8 else None
