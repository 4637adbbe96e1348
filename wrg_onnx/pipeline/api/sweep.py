"""``wrg_onnx.sweep``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from wrg_onnx.choices import BudgetKind, Provider, Recovery
from wrg_onnx.errors import UsageError
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
    read_text,
)
from wrg_onnx.pipeline.api.paged import paged
from wrg_onnx.pipeline.api.recorded import recorded
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import Result
    from wrg_onnx.report.sweep import SweepReport
    from wrg_onnx.select import Criterion, Scope

MOST_POINTS = 100
"""Of one criterion; a finer grid is a slip of the pen."""


@paged
@recorded
def sweep(
    model: AnyModel,
    *,
    ratios: str | Sequence[float] = "0.2:0.8:0.1",
    criteria: str | Sequence[Criterion | str] = "repair",
    metric: str | None = None,
    budget: BudgetKind | str = "params",
    align: int | str | None = None,
    scope: Scope | str = "global",
    floor: float = 0.1,
    recover: Recovery | str | None = None,
    rounds: int = 1,
    epochs: int | None = None,
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
    strict: bool = False,
    out_dir: AnyPath | None = None,
    plot: AnyPath | None = None,
    report: AnyPath | None = None,  # noqa: ARG001 - `paged` writes it
    force: bool = False,
    provider: Provider | str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Result[SweepReport]:
    """Cut a model at many ratios by several criteria, and show how good and fast each cut is.

    What the model's layers make of the samples is measured once for all. Each cut is proven,
    recovered, judged on samples that nothing was measured on, and timed; it is the one that the
    command of its point makes.

    Args:
        model: A path, the bytes of a file, or an ``onnx.ModelProto``, which is never changed.
        ratios: Shares of the budget to remove, each in [0, 1): numbers, or a text such as
            ``"0.2:0.8:0.1"`` (first, last and step) or ``"0.3,0.5"``.
        criteria: How a channel's worth is scored, as ``criterion`` of ``wrg_onnx.prune``; several
            in a list, or in a text with commas between.
        metric: What is shown, as of ``wrg_onnx.prune``. None is max F with masks and a saliency
            map, and the relative error of the outputs without.
        budget: The quantity that ratios speak of: ``"params"``, ``"macs"``, ``"bytes"`` or
            ``"latency"``, as of ``wrg_onnx.prune``.
        align: Layers are kept in multiples of so many channels, or ``"auto"``, as of
            ``wrg_onnx.prune``.
        scope: ``"global"``, where all channels compete, or ``"uniform"``, where each layer loses
            the same share.
        floor: Share of each layer that stays at least, in (0, 1].
        recover: How surviving weights make up for removed ones: ``"none"``, ``"bias"``, ``"ridge"``
            or ``"finetune"``. None is ridge, and none where inputs are random.
        rounds: Steps to each ratio, at least 1.
        epochs: Passes over the samples, of ``recover="finetune"`` alone; None is 20.
        data: A folder with ``images/`` and maybe ``masks/`` of the same names, or with ``.npz``
            files of inputs by name. None takes generated images of tiny objects, or random inputs
            where the model takes no image.
        samples: How many samples statistics are taken from, at most.
        size: (height, width) in pixels of every image input that leaves them open, or one number
            for both. None is 224.
        scale: Multiplies the pixel, which is in [0, 255]. None is 1/255.
        mean: A number per channel, subtracted after scaling. None is ImageNet's; 0 for gray.
        std: A number per channel, divided by last. None is ImageNet's; 1 for gray.
        order: Order of the colour channels, ``"rgb"`` or ``"bgr"``. None is rgb.
        layout: ``"NCHW"`` or ``"NHWC"``. None follows from the input's shape.
        shape: Shapes of inputs that leave sizes open, by input.
        value: What fills an input that would be random, by input.
        at_objects: Which share of the places where layers are looked at lies on the object, in
            [0, 1], as of ``wrg_onnx.prune``.
        certainty: At which overlap measuring ends, as of ``wrg_onnx.prune``.
        cache: Where finished points and what was measured are kept: True for the user's cache
            folder, False for nowhere, or a folder. A sweep that was stopped goes on from there.
        amp: Whether gradients are computed in bfloat16, of the criteria that take any.
        keep: Names of nodes and weights that stay whole, or globs over them.
        only: Names of those to prune, or globs; empty for all.
        head_dims: Whether attention heads are thinned out instead of removed as a whole.
        through_norms: Whether channels may go that a normalisation takes its statistics over.
        strict: Whether an operator without a rule is an error, and a layer of which the proof says
            nothing; else the channels of the one stay whole, and the other is noted.
        out_dir: A folder where every point's model is written, as ``MODEL.CRITERION.RATIO.onnx``;
            None writes none.
        plot: An SVG file to draw the curves in; None for none.
        report: An HTML file to write the report to, as one page; None for none.
        force: Whether files that are there may be replaced.
        provider: Where ONNX Runtime computes: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        seed: Seed of everything random, at least 0.
        progress: Called with a stage's name, how much of it is done, and how much there is.

    Returns:
        The report: ``report.points`` has every cut with its change of the metric, the interval of
        that, latency, and command. A cut that cannot be made has a ``problem`` instead. The knee
        of each criterion is the point furthest above the chord of its curve, as far as it stands
        out of the intervals; it is marked.

    Raises:
        UsageError: If a parameter is out of its range; the message lists what is allowed.
        ModelError: If the model is not a valid one, or its external data is not there.
        BudgetError: If the units allow none of the ratios.
        DataError: If images, masks or arrays are missing, do not fit the model, or are needed.
        MissingPackageError: If torch, ONNX Runtime or pysodmetrics is needed and not installed.
        OutputError: If a file is there already, or cannot be written.
        WrgError: The base of all these.

    Examples:
        >>> import wrg_onnx
        >>> found = wrg_onnx.sweep("models/tiny_unet.onnx", ratios=[0.5], criteria="l1", samples=4)
        >>> (point,) = found.report.points
        >>> f"{point.cut.reached:.0%}", point.command.split()[:4]
        ('50%', ['wrg-onnx', 'prune', 'models/tiny_unet.onnx', '--ratio'])
    """
    from wrg_onnx.pipeline import sweep as stages
    from wrg_onnx.pipeline.config import PruneConfig
    from wrg_onnx.select import Scope

    source = read_model("model", model)
    chosen = read_criteria(criteria)
    first = next((one for one in chosen if one.needs_gradient), chosen[0])
    cut = PruneConfig(
        ratio=0.0,
        budget=read_choice("budget", BudgetKind, budget),
        align=align,
        criterion=first,
        scope=read_choice("scope", Scope, scope),
        floor=read_number("floor", floor),
        limits=read_limits(keep, only, head_dims, through_norms),
        data=read_data(
            data=data, samples=samples, size=size, scale=scale, mean=mean, std=std, order=order,
            layout=layout, shape=shape, value=value,
        ),
        provider=read_choice("provider", Provider, provider),
        evaluate=True,
        strict=read_flag("strict", strict),
        seed=read_count("seed", seed),
        recover=None if recover is None else read_choice("recover", Recovery, recover),
        rounds=read_count("rounds", rounds),
        epochs=None if epochs is None else read_count("epochs", epochs),
        at_objects=read_number("at_objects", at_objects),
        certainty=None if certainty is None else read_number("certainty", certainty),
        cache=read_cache_folder(cache),
        amp=read_flag("amp", amp),
    )  # fmt: skip
    config = stages.SweepConfig(
        cut,
        ratios=read_ratios(ratios),
        criteria=chosen,
        metric=None if metric is None else read_text("metric", metric),
        out_dir=read_optional_path("out_dir", out_dir),
        plot=read_optional_path("plot", plot),
        force=read_flag("force", force),
    )
    return stages.sweep(source, config, progress=progress or silent)


def read_criteria(criteria: str | Criterion | Sequence[Criterion | str]) -> tuple[Criterion, ...]:
    """Take criteria; in a text there are commas between them. Each counts once.

    Raises:
        UsageError: If one is unknown; it lists those that there are.
    """
    if isinstance(criteria, str):
        criteria = [name.strip() for name in criteria.split(",")]
    several = criteria if isinstance(criteria, Sequence) else [criteria]
    return tuple(dict.fromkeys(read_criterion(one) for one in several))


def read_ratios(ratios: str | float | Sequence[float]) -> tuple[float, ...]:
    """Take ratios: numbers, or a text with commas between numbers and ranges. Each counts once.

    Returns:
        In ascending order.

    Raises:
        UsageError: If one is no number or outside [0, 1), a range is empty, or there are more than
            ``MOST_POINTS``.
    """
    if isinstance(ratios, str):
        found = [one for part in ratios.split(",") for one in _range(part.strip())]
    else:
        found = [read_number("ratios", one) for one in _several(ratios)]
    for ratio in found:
        if not 0 <= ratio < 1:
            raise UsageError(f"ratios must be in [0, 1), got {ratio:g}")
    if not 0 < len(found) <= MOST_POINTS:
        raise UsageError(f"ratios must be 1 to {MOST_POINTS} numbers, got {len(found)}")
    return tuple(sorted(set(found)))


def _several(ratios: float | Sequence[float]) -> Sequence[float]:
    return ratios if isinstance(ratios, Sequence) else [ratios]


def _range(text: str) -> list[float]:
    """Return the numbers of ``0.2:0.8:0.1``, both ends included, or of a single number."""
    shape = "expected ratios such as 0.3,0.5 or 0.2:0.8:0.1 (first, last, step)"
    try:
        # Decimals: of floats the third of 0.1 apart is .30000000000000004, and the last is missed.
        numbers = [Decimal(part) for part in text.split(":")]
    except InvalidOperation as error:
        raise UsageError(f"{shape}, got '{text}'") from error
    if len(numbers) not in (1, 3) or not all(number.is_finite() for number in numbers):
        raise UsageError(f"{shape}, got '{text}'")
    if len(numbers) == 1:
        return [float(numbers[0])]
    first, last, step = numbers
    if step <= 0:
        raise UsageError(f"the step of '{text}' must be above 0, got {step}")
    if first > last:
        raise UsageError(f"'{text}' begins at {first} and ends before it, at {last}")
    count = int((last - first) / step) + 1
    if count > MOST_POINTS:
        raise UsageError(f"'{text}' makes {count} ratios; at most {MOST_POINTS} are swept")
    return [float(first + number * step) for number in range(count)]
