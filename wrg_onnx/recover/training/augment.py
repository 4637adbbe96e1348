"""Change images and their masks at random: flip, crop, brightness, contrast."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from wrg_onnx.calibrate.batches import Batch
from wrg_onnx.calibrate.preprocess import Preprocessing

_LEAST_AREA = 0.6
"""Share of the image that a crop keeps at least."""

_MOST_SKEW = 1.1
"""How much wider or higher than the image a crop may be."""

_MOST_CHANGE = 0.2
"""How far brightness and contrast go from 1."""

_WHITE = 255.0


def augment(batch: Batch, preprocessing: Preprocessing, generator: Generator) -> Batch:
    """Flip, crop and recolour each image of a batch, and its mask by the same geometry.

    Args:
        batch: Its images are of floats; they lie on the CPU.
        preprocessing: How they were fed: colours change in pixels, not in what the model sees.
        generator: Decides everything; each image takes the same number of draws.

    Returns:
        A batch of the same shapes and types. A mask's pixel counts from one half up.

    Source: the crop as in Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, with a
    larger least area, because objects may be tiny.
    """
    draws = torch.rand(batch.size, 7, generator=generator)
    feed = batch.feeds[preprocessing.input]
    images = feed.float() if preprocessing.layout == "NCHW" else feed.float().movedim(3, 1)
    theta = _geometry(draws)
    images = _sample(_recoloured(images, preprocessing, draws), theta)
    if preprocessing.layout == "NHWC":
        images = images.movedim(1, 3)
    mask = None if batch.mask is None else (_sample(batch.mask, theta) >= 0.5).float()
    feeds = {**batch.feeds, preprocessing.input: images.contiguous().to(feed.dtype)}
    return replace(batch, feeds=feeds, mask=mask)


def _geometry(draws: Tensor) -> Tensor:
    """Return (N, 2, 3) maps from the result's corners, at -1 and 1, to the crop's."""
    flip = torch.where(draws[:, 0] < 0.5, -1.0, 1.0)
    area = _LEAST_AREA + (1 - _LEAST_AREA) * draws[:, 1]
    skew = _MOST_SKEW ** (2 * draws[:, 2] - 1)
    width, height = (area * skew).sqrt().clamp(max=1), (area / skew).sqrt().clamp(max=1)
    # The crop's centre may go as far as its edge stays inside.
    x, y = (1 - width) * (2 * draws[:, 3] - 1), (1 - height) * (2 * draws[:, 4] - 1)
    zero = torch.zeros_like(x)
    rows = (torch.stack([width * flip, zero, x], dim=1), torch.stack([zero, height, y], dim=1))
    return torch.stack(rows, dim=1)


def _sample(images: Tensor, theta: Tensor) -> Tensor:
    # A fixed batch is one image many times: what happens to one of them happens to all.
    theta = theta.expand(images.shape[0], -1, -1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _recoloured(images: Tensor, preprocessing: Preprocessing, draws: Tensor) -> Tensor:
    """Change brightness and contrast between undoing the preprocessing and doing it again."""
    mean = torch.tensor(preprocessing.mean).reshape(1, -1, 1, 1)
    std = torch.tensor(preprocessing.std).reshape(1, -1, 1, 1)
    brightness, contrast = (1 + _MOST_CHANGE * (2 * draws[:, 5:7] - 1)).unbind(dim=1)
    pixels = (images * std + mean) / preprocessing.scale
    middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (pixels - middle) * contrast.reshape(-1, 1, 1, 1) + middle
    pixels = (pixels * brightness.reshape(-1, 1, 1, 1)).clamp(0, _WHITE)
    return (pixels * preprocessing.scale - mean) / std
