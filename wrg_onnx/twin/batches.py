"""Samples as batches of tensors, and whether a model takes several at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.data.dataset import Sample
from wrg_onnx.graph import Array, Graph
from wrg_onnx.graph.difference import gap_and_scale

_CLOSE = 1e-3
"""Relative difference below which a joined batch computes what its samples do by themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples that go through the model at once.

    Attributes:
        feeds: The model's inputs by name, float16 as float32; axis 0 is the batch where samples
            were joined.
        mask: (N, 1, H, W) float32 in {0, 1} at the model's input resolution; None without masks.
        size: How many samples it is.
    """

    feeds: Mapping[str, Tensor]
    mask: Tensor | None
    size: int

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        feeds = {name: tensor.to(device) for name, tensor in self.feeds.items()}
        return Batch(feeds, None if self.mask is None else self.mask.to(device), self.size)

    def share(self, index: int, count: int) -> Batch | None:
        """Return every ``count``-th sample from ``index`` on; None if there is none."""
        size = len(range(index, self.size, count))
        if size == self.size or not size:
            return self if size else None
        feeds = {name: tensor[index::count] for name, tensor in self.feeds.items()}
        return Batch(feeds, None if self.mask is None else self.mask[index::count], size)

    def split(self, most: int) -> list[Batch]:
        """Return batches of at most ``most`` samples, each."""
        if self.size <= most:
            return [self]
        parts = {name: torch.split(tensor, most) for name, tensor in self.feeds.items()}
        count = -(-self.size // most)
        masks = [None] * count if self.mask is None else torch.split(self.mask, most)
        return [
            Batch(
                {name: tensors[k] for name, tensors in parts.items()},
                masks[k],
                min(most, self.size - k * most),
            )
            for k in range(count)
        ]


def join(samples: Sequence[Sample], *, joins: bool) -> list[Batch]:
    """Make one batch of samples, or one of each where they do not join.

    Args:
        samples: Batches of one.
        joins: Whether the model takes several at once.

    Returns:
        The batches in the order of the samples. Samples of several shapes, or of which only some
        have masks, do not join.
    """
    shapes = {
        (
            tuple((name, array.shape) for name, array in sample.feeds.items()),
            None if sample.mask is None else sample.mask.shape,
        )
        for sample in samples
    }
    groups = [samples] if joins and len(shapes) == 1 else [[sample] for sample in samples]
    return [_batch(group) for group in groups]


def to_feed(array: Array) -> Tensor:
    """Copy an input into a tensor of the same shape.

    Float16 becomes float32: a twin that has gradients computes in it.
    """
    tensor = torch.from_numpy(np.array(array))
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _batch(samples: Sequence[Sample]) -> Batch:
    feeds = {
        name: to_feed(
            np.concatenate([sample.feeds[name] for sample in samples])
            if len(samples) > 1
            else samples[0].feeds[name]
        )
        for name in samples[0].feeds
    }
    masks = [sample.mask for sample in samples if sample.mask is not None]
    mask = torch.from_numpy(np.stack(masks)[:, None].astype(np.float32)) if masks else None
    return Batch(feeds, mask, len(samples))


def has_open_batch(graph: Graph) -> bool:
    """Tell whether axis 0 of every input is open, and the same symbol where it has one."""
    firsts = {value.shape[0] if value.shape else 1 for value in graph.inputs}
    return bool(firsts) and len(firsts) == 1 and not any(isinstance(f, int) for f in firsts)


def joins_alike(
    run: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]], samples: Sequence[Sample]
) -> bool:
    """Tell whether a model computes of two joined samples what it does of each.

    An open batch is a promise of the file; a Reshape inside with a fixed size may break it.

    Args:
        run: The model, from inputs to outputs by name.
        samples: Two or more batches of one.
    """
    parts = [run(batch.feeds) for batch in join(samples, joins=False)]
    whole = join(samples, joins=True)
    if len(whole) != 1 or len(samples) < 2:
        return False
    try:
        joined = run(whole[0].feeds)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError):
        return False
    return all(_stacked(joined[name], [part[name] for part in parts]) for name in joined)


def _stacked(joined: Tensor, parts: Sequence[Tensor]) -> bool:
    if any(part.dim() == 0 for part in parts):
        return False
    expected = torch.cat(list(parts))
    if joined.shape != expected.shape:
        return False
    gap, scale = gap_and_scale(*(value.double().cpu().numpy() for value in (expected, joined)))
    return gap <= _CLOSE * scale
