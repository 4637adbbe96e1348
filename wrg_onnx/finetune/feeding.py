"""What a step is fed: samples that are read ahead, kept while there is room, changed at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.data.preprocess import Preprocessing
from wrg_onnx.twin.batches import Batch

_AHEAD = 2
"""How many batches are read before they are asked for."""


class SampleReader:
    """Reads samples by index in one thread that runs ahead; keeps them while there is room.

    One thread, because reading an image changes Python's warning filters for a moment.
    """

    def __init__(self, data: DataSet, bound_bytes: int) -> None:
        self._data = data
        self._room = bound_bytes
        self._held: dict[int, Sample] = {}
        self._thread = ThreadPoolExecutor(max_workers=1)

    def read_groups(self, groups: Sequence[Sequence[int]]) -> Iterator[list[Sample]]:
        """Yield the samples of each group of indices, in order.

        Raises:
            DataError: If a file cannot be read.
        """
        waiting = [self._thread.submit(self._read, group) for group in groups[:_AHEAD]]
        for number in range(len(groups)):
            samples = waiting.pop(0).result()
            if number + _AHEAD < len(groups):
                waiting.append(self._thread.submit(self._read, groups[number + _AHEAD]))
            yield samples

    def describe(self) -> Iterator[tuple[str, bool]]:
        """Yield the name of every sample, and whether it has a mask; reads them all.

        Raises:
            DataError: If a file cannot be read.
        """
        for (sample,) in self.read_groups([[index] for index in range(len(self._data))]):
            yield sample.name, sample.mask is not None

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _read(self, indices: Sequence[int]) -> list[Sample]:
        return [self._sample(index) for index in indices]

    def _sample(self, index: int) -> Sample:
        held = self._held.get(index)
        if held is not None:
            return held
        sample = self._data[index]
        arrays = [*sample.feeds.values(), *(() if sample.mask is None else (sample.mask,))]
        size = sum(array.nbytes for array in arrays)
        if size <= self._room:
            self._room -= size
            self._held[index] = sample
        return sample


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
    images = _resample(_recoloured(images, preprocessing, draws), theta)
    if preprocessing.layout == "NHWC":
        images = images.movedim(1, 3)
    mask = None if batch.mask is None else (_resample(batch.mask, theta) >= 0.5).float()
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
    # Each row is (from x, from y, shift): of the place in the image that a pixel is taken from, in
    # [-1, 1] over the image. A flip looks at the crop from the other side.
    zero = torch.zeros_like(x)
    rows = (torch.stack([width * flip, zero, x], dim=1), torch.stack([zero, height, y], dim=1))
    return torch.stack(rows, dim=1)


def _resample(images: Tensor, theta: Tensor) -> Tensor:
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
