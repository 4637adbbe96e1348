"""G: what the backward pass says of feature maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wrg_onnx.calibrate.gradient.first_order import FirstOrderEffects
from wrg_onnx.calibrate.measurements import Row
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.data.dataset import Sample
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import GRADIENT
from wrg_onnx.graph import Graph
from wrg_onnx.graph.session import RANDOM_SEED
from wrg_onnx.twin import build_twin, widened
from wrg_onnx.twin.batches import Batch, has_open_batch, join, joins_alike
from wrg_onnx.twin.losses import bce_loss, iou_loss, mask_at, probability

OBJECT_THRESHOLD = 0.5
"""Where a sample has no mask, the model's own map above this is the pseudo mask."""

MOST_ACTIVATION_BYTES = 2**30
"""How much of the feature maps is kept for the backward pass; a deeper net makes them twice."""


class GradientProbe:
    """Runs a model's twin forward and backward.

    The loss is BCE + IoU of the saliency map against the mask, or against the model's own map
    above 0.5 where an image has none. A model without a saliency map is asked how much its outputs
    depend on each channel: the loss is half the mean square of every float output, and of what
    leads to an output that is no tensor. The gradients of the feature maps alone are computed, none
    of a weight, and each is reduced to its numbers as soon as it is there. A float16 model is
    computed in float32: its gradients would vanish.

    Args:
        graph: The model.
        taps: Where to look.
        saliency: How to read the saliency map, None if the model has none.
        device: Where torch computes.
        mixed: Whether convolutions and products are computed in bfloat16.
        bound_bytes: How many bytes of feature maps are kept for the backward pass. Above it the
            network is cut into parts whose insides are computed a second time.

    Raises:
        UnsupportedOperatorError: If an operator has no twin that the loss needs.

    Source: Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient
    Inference", ICLR 2017, arXiv:1611.06440, equation 8. That WRGPruner's G is this, and its loss,
    are our reconstruction. Parts: Chen et al., "Training Deep Nets with Sublinear Memory Cost",
    2016, arXiv:1604.06174.
    """

    factors = (GRADIENT,)

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[Tap],
        saliency: SaliencyMap | None,
        device: str = "cpu",
        *,
        mixed: bool = False,
        bound_bytes: int = MOST_ACTIVATION_BYTES,
    ) -> None:
        self._graph, self._taps, self._saliency = graph, tuple(taps), saliency
        self._device, self._mixed, self._bound = torch.device(device), mixed, bound_bytes
        outputs = None if saliency is None else [saliency.output]
        twin = build_twin(widened(graph), trainable=False, outputs=outputs).eval()
        # Channels last is how convolutions run fastest, on the CPU and on tensor cores; torch has
        # the order for four axes alone.
        self._twin = twin.to(self._device)
        for tensor in (*self._twin.parameters(), *self._twin.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.to(memory_format=torch.channels_last)
        self._cuts: dict[tuple[tuple[int, ...], ...], tuple[int, ...]] = {}
        self._joins = None if _may_join(graph, taps) else False

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Return for each image abs of the mean over positions of gradient x activation.

        Several images go through the model at once if it treats each of them as if alone.

        Raises:
            StatisticsError: If a gradient is not finite; it names the tensor. Or if no output
                depends on a tap in a way that has a gradient.
        """
        if self._joins is None and len(join(samples[:2], joins=True)) < len(samples[:2]):
            names = [tap.tensor for tap in self._taps]
            with torch.no_grad(), self._repeatable():
                run = partial(self._run, taps=names)
                self._joins = joins_alike(lambda feeds: run(_on(feeds, self._device)), samples[:2])
        rows: list[Row] = []
        for batch in join(samples, joins=bool(self._joins)):
            with self._repeatable():
                rows += self._measure(batch.to(self._device))
        return rows

    @contextmanager
    def _repeatable(self) -> Iterator[None]:
        """Draw the same random numbers for an image, whatever came before, and round nothing."""
        on_gpu = self._device.type == "cuda"
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
            torch.default_generator.manual_seed(RANDOM_SEED)
            if on_gpu:
                torch.cuda.manual_seed(RANDOM_SEED)
            with _without_tf32():
                yield

    def _run(
        self, feeds: Mapping[str, Tensor], taps: Sequence[str] = (), **how: Any
    ) -> dict[str, Tensor]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
            values: dict[str, Tensor] = self._twin(feeds, taps, **how)
            return values

    def _measure(self, batch: Batch) -> list[Row]:
        effects = FirstOrderEffects(self._taps, batch.size, self._device)
        through = {tap.tensor: partial(effects.watch, tap) for tap in self._taps}
        values = self._run(batch.feeds, through=through, cuts=self._parts(batch))
        loss = _loss([values[n] for n in self._twin.output_names], batch, self._saliency)
        if effects.watches_any:
            if not loss.requires_grad:
                raise StatisticsError(
                    f"'{self._graph.name}': no output depends smoothly on any layer, so there is "
                    "no gradient; use a criterion without, such as --criterion wr"
                )
            effects.take(loss)
        return effects.rows()

    def _parts(self, batch: Batch) -> tuple[int, ...]:
        shapes = tuple(tuple(feed.shape) for feed in batch.feeds.values())
        if shapes not in self._cuts:
            with self._repeatable():
                made = self._twin.bytes_made(batch.feeds)
            self._cuts[shapes] = tuple(parts_within(made, self._bound))
        return self._cuts[shapes]


def parts_within(made: Sequence[int], bound: int) -> Iterator[int]:
    """Cut a network so that no part makes more than half a bound, if all of it exceeds the bound.

    The other half is for what passes between the parts.

    Args:
        made: How many bytes each node makes.
        bound: In bytes.

    Yields:
        The numbers of the nodes before which a part begins, but for the first.
    """
    if sum(made) <= bound:
        return
    size = 0
    for number, count in enumerate(made):
        if size and size + count > bound // 2:
            yield number
            size = 0
        size += count


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Keep cuDNN from rounding operands of float32 to 10 bits, as it does by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _may_join(graph: Graph, taps: Sequence[Tap]) -> bool:
    return has_open_batch(graph) and all(tap.axis > 0 for tap in taps)


def _on(feeds: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in feeds.items()}


def _loss(outputs: Sequence[Tensor], batch: Batch, saliency: SaliencyMap | None) -> Tensor:
    """Return the sum of the images' losses; a sum, because none depends on another image.

    Args:
        outputs: What the twin returns; the saliency map alone if there is one.
        batch: What it was fed.
        saliency: How to read that map.
    """
    if saliency is None:
        floats = [output.float() for output in outputs if output.is_floating_point()]
        terms = [0.5 * output.square().mean() for output in floats]
        return batch.size * sum(terms, torch.zeros(()))
    prediction = probability(outputs[0].float(), saliency)
    mask = (prediction.detach() > OBJECT_THRESHOLD).float()
    if batch.mask is not None:
        mask = mask_at(batch.mask, prediction)
    return batch.size * (bce_loss(prediction, mask) + iou_loss(prediction, mask))
