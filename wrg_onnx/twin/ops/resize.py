"""Resize and Upsample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import axes, integers, number
from wrg_onnx.twin.kernels.resample import Axis, Method, resample
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrg_onnx.graph.model import Node


@twin_op("Upsample", since=7)
def upsample_7(node: Node, x: Tensor) -> Tensor:
    """Enlarge by scales that are an attribute."""
    scales = node.attributes.get("scales", ())
    return _resize_10(node, x, [float(scale) for scale in scales])  # type: ignore[union-attr]


@twin_op("Upsample", since=9, host=(1,))
@twin_op("Resize", since=10, host=(1,))
def resize_10(node: Node, x: Tensor, scales: Tensor) -> Tensor:
    """Resize by scales, as before opset 11."""
    return _resize_10(node, x, scales.tolist())


@twin_op("Resize", since=11, host=(1, 2, 3))
def resize(
    node: Node,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    """Resample the axes that are named, or all, to the sizes or by the scales given.

    Source: https://onnx.ai/onnx/operators/onnx__Resize.html
    """
    method = Method(
        mode=node.str("mode", "nearest"),
        transform=node.str("coordinate_transformation_mode", "half_pixel"),
        nearest=node.str("nearest_mode", "round_prefer_floor"),
        cubic=number(node, "cubic_coeff_a", -0.75),
        exclude_outside=bool(node.int("exclude_outside", 0)),
        antialias=bool(node.int("antialias", 0)),
        extrapolation=number(node, "extrapolation_value", 0.0),
    )
    over = axes(node, None, rank=x.dim())
    over = tuple(range(x.dim())) if over is None else over
    crop = method.transform == "tf_crop_and_resize" and roi is not None
    region = roi.tolist() if crop and roi is not None else [0.0] * len(over) + [1.0] * len(over)
    if sizes is not None and sizes.numel():
        table = _by_sizes(node, [x.shape[axis] for axis in over], integers(sizes), region)
    elif scales is not None and scales.numel():
        table = _by_scales([x.shape[axis] for axis in over], scales.tolist(), region)
    else:
        raise ModelError(f"{node}: neither sizes nor scales are given")
    return resample(x, dict(zip(over, table, strict=True)), method)


def _resize_10(node: Node, x: Tensor, scales: Sequence[float]) -> Tensor:
    mode = node.str("mode", "nearest")
    # ONNX Runtime rounds down when it enlarges and up when it shrinks; the specification is silent.
    method = Method(mode="linear" if mode == "bilinear" else mode, nearest="simple")
    region = [0.0] * x.dim() + [1.0] * x.dim()
    return resample(x, dict(enumerate(_by_scales(x.shape, scales, region))), method)


def _by_scales(
    sizes: Sequence[int], scales: Sequence[float], region: Sequence[float]
) -> list[Axis]:
    rank = len(sizes)
    table = []
    for size, scale, start, end in zip(sizes, scales, region[:rank], region[rank:], strict=True):
        out = int(np.floor(np.float32(size) * np.float32(end - start) * np.float32(scale)))
        table.append(Axis(size, out, scale, start, end))
    return table


def _by_sizes(
    node: Node, sizes: Sequence[int], wanted: Sequence[int], region: Sequence[float]
) -> list[Axis]:
    rank = len(sizes)
    policy = node.str("keep_aspect_ratio_policy", "stretch")
    scales = [want / size for want, size in zip(wanted, sizes, strict=True)]
    if policy != "stretch":
        common = min(scales) if policy == "not_larger" else max(scales)
        scales = [common] * rank
        wanted = [int(np.floor(common * size + 0.5)) for size in sizes]
    return [
        Axis(*row) for row in zip(sizes, wanted, scales, region[:rank], region[rank:], strict=True)
    ]
