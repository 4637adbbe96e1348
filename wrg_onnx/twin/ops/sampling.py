"""Sampling of maps at computed places: a grid, or regions, and the choice among regions."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.twin.attributes import integers, number, optional
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


# Opset 20 renamed the modes.
_MODES = {"linear": "bilinear", "cubic": "bicubic"}


@twin_op("GridSample", since=16)
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    """Sample x at the places of a grid.

    Source: https://onnx.ai/onnx/operators/onnx__GridSample.html
    """
    mode = node.str("mode", "bilinear")
    return functional.grid_sample(
        x,
        grid,
        mode=_MODES.get(mode, mode),
        padding_mode=node.str("padding_mode", "zeros"),
        align_corners=bool(node.int("align_corners", 0)),
    )


@twin_op("AffineGrid", since=20, host=(1,))
def affine_grid(node: Node, theta: Tensor, size: Tensor) -> Tensor:
    """Make the grid of an affine map."""
    return functional.affine_grid(
        theta, integers(size), align_corners=bool(node.int("align_corners", 0))
    )


def bilinear(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Read maps between their pixels; outside them there are zeros.

    Shapes:
        x (N, C, H, W), rows and columns (N, P) -> (N, C, P).
    """
    height, width = x.shape[2:]
    flat = x.flatten(2)
    pairs = []
    for places, size in ((rows, height), (columns, width)):
        low = places.floor()
        part = places - low
        pairs.append([
            (edge.clamp(0, size - 1).long(), share * ((edge >= 0) & (edge < size)))
            for edge, share in ((low, 1 - part), (low + 1, part))
        ])  # fmt: skip
    y = x.new_zeros(())
    for row, down in pairs[0]:
        for column, right in pairs[1]:
            places = (row * width + column)[:, None].expand(-1, x.shape[1], -1)
            y = y + flat.gather(2, places) * (down * right)[:, None]
    return y


@twin_op("RoiAlign", since=10, fixed=(1,))
def roi_align_10(node: Node, x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
    """Sample regions without the half pixel's shift, as before opset 16."""
    return _roi_align(node, x, rois, batch, half_pixel=False)


@twin_op("RoiAlign", since=16, fixed=(1,))
def roi_align(node: Node, x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
    """Sample regions of maps in a regular grid, and take the mean or maximum of each bin.

    Shapes:
        x (N, C, H, W), rois (R, 4) as x1, y1, x2, y2, batch (R) -> (R, C, oh, ow).

    Source: https://onnx.ai/onnx/operators/onnx__RoiAlign.html
    """
    mode = node.str("coordinate_transformation_mode", "half_pixel")
    return _roi_align(node, x, rois, batch, half_pixel=mode == "half_pixel")


def _roi_align(node: Node, x: Tensor, rois: Tensor, batch: Tensor, *, half_pixel: bool) -> Tensor:
    sizes = (node.int("output_height", 1), node.int("output_width", 1))
    ratio = node.int("sampling_ratio", 0)
    scaled = rois * number(node, "spatial_scale", 1.0) - (0.5 if half_pixel else 0.0)
    pooled = []
    for roi, image in zip(scaled, batch.tolist(), strict=True):
        places, counts = [], []
        for axis, size in enumerate(sizes):
            begin, end = roi[1 - axis], roi[3 - axis]
            length = end - begin if half_pixel else (end - begin).clamp(min=1.0)
            count = ratio if ratio > 0 else max(ceil(float(length.detach()) / size), 1)
            steps = (torch.arange(size * count, device=x.device) + 0.5) / (size * count)
            places.append(begin + steps.to(x.dtype) * length)
            counts.append(count)
        parts = _samples(x[image], places[0], places[1])  # four of (C, rows, columns)
        bins = [
            part.reshape(-1, sizes[0], counts[0], sizes[1], counts[1]).transpose(2, 3).flatten(3)
            for part in parts
        ]
        if node.str("mode", "avg") == "avg":
            pooled.append(torch.stack(bins).sum(0).mean(-1))
        else:  # of the weighed pixels, not of the samples: so ONNX's own function does
            pooled.append(torch.cat(bins, -1).amax(-1))
    if not pooled:
        return x.new_zeros(0, x.shape[1], *sizes)
    return torch.stack(pooled)


def _samples(x: Tensor, rows: Tensor, columns: Tensor) -> list[Tensor]:
    """Return what each of the four pixels around a sample gives it; far outside it is zero.

    Shapes:
        x (C, H, W), rows (R), columns (S) -> four of (C, R, S).
    """
    lines = []
    for places, size in ((rows, x.shape[1]), (columns, x.shape[2])):
        inside = (places >= -1) & (places <= size)
        kept = places.clamp(0, size - 1)
        low = kept.detach().floor().clamp(max=max(size - 1, 0))
        high = (low + 1).clamp(max=size - 1)
        lines.append(
            [(low.long(), (1 - (kept - low)) * inside), (high.long(), (kept - low) * inside)]
        )
    return [
        x[:, row][:, :, column] * (down[:, None] * right)
        for row, down in lines[0]
        for column, right in lines[1]
    ]


@twin_op("MaxRoiPool", since=1, fixed=(1,))
def max_roi_pool(node: Node, x: Tensor, rois: Tensor) -> Tensor:
    """Take the maximum of each bin of regions; an empty bin is zero.

    Shapes:
        x (N, C, H, W), rois (R, 5) as image, x1, y1, x2, y2 -> (R, C, oh, ow).

    Source: https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html
    """
    sizes = node.ints("pooled_shape")
    scale = number(node, "spatial_scale", 1.0)
    pooled = []
    for image, *corners in rois.detach().tolist():
        x1, y1, x2, y2 = (scale * corner for corner in corners)
        rows = _bins(y1, y2, sizes[0], x.shape[2])
        columns = _bins(x1, x2, sizes[1], x.shape[3])
        cells = [x[int(image), :, row, column] for row in rows for column in columns]
        values = [cell.amax((1, 2)) if cell.numel() else x.new_zeros(x.shape[1]) for cell in cells]
        pooled.append(torch.stack(values, 1).reshape(-1, *sizes))
    return torch.stack(pooled) if pooled else x.new_zeros(0, x.shape[1], *sizes)


def _bins(low: float, high: float, count: int, limit: int) -> list[slice]:
    """Divide the pixels from low to high into bins that may overlap, cut off at the map's edge."""
    begin, end = floor(low + 0.5), floor(high + 0.5)
    step = max(end - begin + 1, 1) / count
    edges = [(floor(i * step) + begin, ceil((i + 1) * step) + begin) for i in range(count)]
    return [slice(*(min(max(edge, 0), limit) for edge in pair)) for pair in edges]


@twin_op("NonMaxSuppression", since=10, host=(2, 3, 4))
def non_max_suppression(
    node: Node, boxes: Tensor, scores: Tensor, *limits: Tensor | None
) -> Tensor:
    """Choose boxes by score, each unless it covers one chosen before by more than a share.

    Shapes:
        boxes (N, B, 4), scores (N, C, B), then the most boxes of a class, the largest share and the
        lowest score -> (chosen, 3) int64: image, class and box.

    Source: https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html
    """
    most, share, lowest = optional(limits, 3)
    count = 0 if most is None else integers(most)[0]
    bound = 0.0 if share is None else float(share)
    chosen: list[tuple[int, int, int]] = []
    for image, (corners, classes) in enumerate(zip(boxes.detach(), scores.detach(), strict=True)):
        overlaps = _overlaps(_corners(node, corners)) > bound
        for label, values in enumerate(classes):
            alive = torch.ones_like(values, dtype=torch.bool) if lowest is None else values > lowest
            order = values.sort(descending=True, stable=True)[1]
            taken = 0
            for box in order[alive[order]].tolist():
                if taken < count and alive[box]:
                    chosen.append((image, label, box))
                    alive = alive & ~overlaps[box]
                    taken += 1
    return torch.tensor(chosen, dtype=torch.int64, device=boxes.device).reshape(-1, 3)


def _corners(node: Node, boxes: Tensor) -> Tensor:
    """Return (B, 4): the smaller and the larger corner of each box."""
    if node.int("center_point_box", 0):
        centres, halves = boxes[:, :2], boxes[:, 2:] / 2
        return torch.cat((centres - halves, centres + halves), 1)
    first, second = boxes[:, :2], boxes[:, 2:]
    return torch.cat((torch.minimum(first, second), torch.maximum(first, second)), 1)


def _overlaps(boxes: Tensor) -> Tensor:
    """Return (B, B): the intersection of two boxes over their union."""
    low, high = boxes[:, :2], boxes[:, 2:]
    areas = (high - low).prod(1)
    sides = torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)
    shared = sides.clamp(min=0).prod(2)
    union = areas[:, None] + areas - shared
    return torch.where(union > 0, shared / union, torch.zeros_like(union))
