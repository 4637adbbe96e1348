"""``wrg_onnx.inspect``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wrg_onnx.pipeline.api.arguments import (
    AnyModel,
    AnySize,
    read_data,
    read_flag,
    read_limits,
    read_model,
    read_number,
)
from wrg_onnx.pipeline.api.recorded import recorded
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import Result
    from wrg_onnx.report.records import InspectReport


@recorded
def inspect(
    model: AnyModel,
    *,
    size: AnySize | None = None,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    order: str | None = None,
    layout: str | None = None,
    shape: Mapping[str, Sequence[int]] | None = None,
    value: Mapping[str, float] | None = None,
    keep: str | Sequence[str] = (),
    only: str | Sequence[str] = (),
    head_dims: bool = False,
    through_norms: bool = False,
    floor: float = 0.1,
    strict: bool = False,
    progress: Progress | None = None,
) -> Result[InspectReport]:
    """Find out what of an ONNX model can be cut, what it costs, and what is frozen and why.

    Args:
        model: A path, the bytes of a file, or an ``onnx.ModelProto``, which is never changed.
        size: (height, width) in pixels of every image input that leaves them open, or one number
            for both. None is 224.
        scale: How images are fed, as for ``wrg_onnx.prune``; nothing is fed here, but it is
            checked. So are ``mean``, ``std``, ``order`` and ``layout``.
        mean: See ``scale``.
        std: See ``scale``.
        order: See ``scale``.
        layout: See ``scale``.
        shape: Shapes of inputs that leave sizes open, by input: ``{"state": (2, 1, 128)}``.
        value: What fills an input that would be random, by input.
        keep: Names of nodes and weights that stay whole, or globs over them.
        only: Names of those to prune, or globs; empty for all.
        head_dims: Whether attention heads are thinned out instead of removed as a whole.
        through_norms: Whether channels may go that a normalisation takes its statistics over: the
            width of transformers. It computes something else then, and the report says how far.
        floor: Share of each layer that stays at least, in (0, 1].
        strict: Whether an operator without a rule is an error; else its channels stay whole.
        progress: Called with a stage's name, how much of it is done, and how much there is.

    Returns:
        The report: ``result.report.groups`` are the layer widths that may shrink,
        ``result.report.frozen`` says what stays, who decided that and what lifts it, and
        ``result.report.largest_ratio`` is the most that ``wrg_onnx.prune`` can remove.

    Raises:
        UsageError: If a parameter is out of its range; the message lists what is allowed.
        ModelError: If the model is not a valid one, or its external data is not there.
        UnsupportedOperatorError: If ``strict``, and an operator has no rule.

    Examples:
        >>> import wrg_onnx
        >>> report = wrg_onnx.inspect("models/tiny_unet.onnx").report
        >>> report.groups[0].name, report.groups[0].units
        ('bottom.0.0.weight', 128)
    """
    from wrg_onnx.pipeline import inspect as stages

    options = read_data(
        size=size, scale=scale, mean=mean, std=std, order=order, layout=layout, shape=shape,
        value=value,
    )  # fmt: skip
    return stages.inspect(
        read_model("model", model),
        options,
        read_limits(keep, only, head_dims, through_norms),
        floor=read_number("floor", floor),
        strict=read_flag("strict", strict),
        progress=progress or silent,
    )
