"""Images with masks in memory: made ones, or those of folders; and the batches drawn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.data.dataset import Sample, from_directory
from wrg_onnx.data.preprocess import Preprocessing, default_preprocessing
from wrg_onnx.errors import DataError
from wrg_onnx.finetune.feeding import augment
from wrg_onnx.graph.model import Value
from wrg_onnx.tsod import generate
from wrg_onnx.tsod.pictures import MASK_THRESHOLD
from wrg_onnx.twin.batches import Batch

TRAINING, HELD_OUT, ORDER = 0, 1, 2
"""Streams of random numbers under one seed; held-out images never share one with the training."""

INPUT = "image"
"""The name of the nets' input."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Images and their masks, all of one size.

    Attributes:
        images: (K, 3, H, W) uint8, RGB.
        masks: (K, 1, H, W) bool, True on the objects.
        content: What they are and where from, such as ``"3000 made images of tiny objects"``.
        have_an_up: Whether they are photographs, which are not turned.
        names: One an image, for messages.
        remarks: What a user should know of the files, a line each.
    """

    images: Tensor
    masks: Tensor
    content: str
    have_an_up: bool
    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the nets are fed: RGB in [0, 1] less ImageNet's mean, over its deviation."""
        return _preprocessing(*self.images.shape[2:])

    @property
    def fingerprint(self) -> str:
        """A hash of all pixels."""
        found = hashlib.sha256(f"{tuple(self.images.shape)} {self.have_an_up}".encode())
        for part in (self.images, self.masks):
            found.update(np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    def take(self, indices: Sequence[int]) -> Pool:
        """Return the pool of these images."""
        content = f"{len(indices)} of {self.content}"
        chosen = torch.as_tensor(indices, dtype=torch.long)
        return replace(
            self,
            images=self.images[chosen],
            masks=self.masks[chosen],
            content=content,
            names=tuple(self.names[index] for index in indices),
        )

    def feed(self, images: Tensor) -> Tensor:
        """Turn (N, 3, H, W) uint8 into the float32 that the nets are fed."""
        as_fed = self.preprocessing
        mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (as_fed.mean, as_fed.std))
        return (images * torch.tensor(as_fed.scale, dtype=torch.float32) - mean) / std


def make_pool(count: int, side: int, *, seed: int, stream: int) -> Pool:
    """Generate images of tiny objects.

    Args:
        count: How many.
        side: Height and width in pixels.
        seed: The same seed and stream give the same images.
        stream: ``TRAINING`` or ``HELD_OUT``.
    """
    rng = np.random.default_rng([seed, stream])
    pairs = [generate(rng, side, side) for _ in range(count)]
    images = np.stack([image for image, _ in pairs]).transpose(0, 3, 1, 2)
    masks = np.stack([mask for _, mask in pairs])[:, None] >= MASK_THRESHOLD
    return Pool(
        torch.from_numpy(np.ascontiguousarray(images)),
        torch.from_numpy(masks),
        f"{count} made images of tiny objects",
        have_an_up=False,
        names=tuple(f"generated {index}" for index in range(count)),
    )


def read_pool(folders: Sequence[Path], side: int) -> Pool:
    """Read folders with ``images/`` and ``masks/``, and bring all pairs to one size.

    Files pair by name; a pixel of a mask counts from 128 of 255 up, after the mask was resized.
    A few broken files are left out, as ``wrg-onnx prune`` does, and remarked upon; so are masks
    without an object.

    Args:
        folders: At least one.
        side: Height and width in pixels.

    Raises:
        DataError: If a folder holds no images, an image has no mask or one of another size, a mask
            has no image, or more than a few files cannot be read.
    """
    raw = replace(
        _preprocessing(side, side),
        dtype=np.dtype(np.uint8), scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip
    value = Value(INPUT, np.dtype(np.uint8), (1, 3, side, side))
    samples: list[Sample] = []
    contents: list[str] = []
    remarks: list[str] = []
    for folder in folders:
        data = from_directory(folder, [value], raw)
        if not data.has_masks:
            raise DataError(f"'{folder}' holds {data.description}, without masks: add 'masks/'")
        # Read once: to look for broken files is to read all of them.
        once = replace(data, readers=tuple(cache(reader) for reader in data.readers))
        sound, broken = once.without_broken()
        samples += sound
        contents.append(sound.description)
        remarks += [f"left out: {message}" for message in broken]
    masks = np.stack([sample.mask[None] for sample in samples if sample.mask is not None])
    empty = int((~masks.any(axis=(1, 2, 3))).sum())
    if empty:
        remarks.append(
            f"{empty} of {len(samples)} masks from {' and '.join(map(str, folders))} show no "
            f"object at {side}x{side} pixels"
        )
    return Pool(
        torch.from_numpy(np.stack([sample.feeds[INPUT][0] for sample in samples])),
        torch.from_numpy(masks),
        " and ".join(contents),
        have_an_up=True,
        names=tuple(sample.name for sample in samples),
        remarks=tuple(remarks),
    )


def draw_batch(pool: Pool, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Draw images with their masks, each changed at random.

    Made images are mirrored and turned. Photographs have an up: they are mirrored, cropped and
    changed in brightness and contrast, as in fine-tuning.

    Args:
        pool: Where they are drawn from, with repetition.
        rng: Decides everything.
        count: How many.

    Returns:
        (N, 3, H, W) float32 as the nets are fed, and (N, 1, H, W) float32 masks of 0 and 1.
    """
    chosen = rng.integers(len(pool), size=count)
    if pool.have_an_up:
        images, masks = pool.feed(pool.images[chosen]), pool.masks[chosen].float()
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        changed = augment(Batch({INPUT: images}, masks, count), pool.preprocessing, draws)
        assert changed.mask is not None
        return changed.feeds[INPUT], changed.mask
    pairs = [_turned(pool, index, rng) for index in chosen]
    images, masks = (torch.stack(part) for part in zip(*pairs, strict=True))
    return pool.feed(images), masks.float()


def _turned(pool: Pool, index: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    turns, is_mirrored = int(rng.integers(4)), bool(rng.integers(2))
    pair = (part[index].rot90(turns, (1, 2)) for part in (pool.images, pool.masks))
    image, mask = (part.flip(2) if is_mirrored else part for part in pair)
    return image, mask


def _preprocessing(height: int, width: int) -> Preprocessing:
    found = default_preprocessing([Value(INPUT, np.dtype(np.float32), (1, 3, height, width))])
    assert found is not None  # a 3-channel float input is an image
    return found
