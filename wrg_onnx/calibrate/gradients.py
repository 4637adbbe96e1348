"""G: what the backward pass says of feature maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.calibrate.batches import Batch, has_open_batch, join, joins_alike
from wrg_onnx.calibrate.data import Sample
from wrg_onnx.calibrate.head import SaliencyHead
from wrg_onnx.calibrate.measurements import Kind, Row
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.graph import Graph, StatisticsError
from wrg_onnx.graph.session import RANDOM_SEED
from wrg_onnx.twin import build_twin, widened
from wrg_onnx.twin.losses import bce_loss, iou_loss

OBJECT_THRESHOLD = 0.5
"""Where a sample has no mask, the model's own map above this is the pseudo mask."""

MOST_ACTIVATION_BYTES = 2**30
"""How many bytes of feature maps are kept for the backward pass; a deeper net computes them twice.
"""


class GradientProbe:
    """Runs a model's twin forward and backward.

    The loss is BCE + IoU of the saliency map against the mask, or against the model's own map
    above 0.5 where an image has none. A model without a saliency map is asked how much its outputs
    depend on each channel: the loss is half the mean square of every float output. The gradients of
    the feature maps alone are computed, none of a weight, and each is reduced to its numbers as
    soon as it is there. A float16 model is computed in float32: its gradients would vanish.

    Args:
        graph: The model.
        taps: Where to look.
        head: How to read the saliency map, None if the model has none.
        device: Where torch computes.
        mixed: Whether convolutions and products are computed in bfloat16.
        bound_bytes: How many bytes of feature maps are kept for the backward pass. Above it the
            network is cut into parts whose insides are computed a second time.

    Raises:
        UnsupportedOperatorError: If an operator has no twin.

    Source: abs(gradient x activation) as in Molchanov et al., "Pruning Convolutional Neural
    Networks for Resource Efficient Inference", ICLR 2017, arXiv:1611.06440, equation 8, which has
    the abs around the mean over positions (`Kind.TAYLOR`) instead of inside it (`Kind.GRADIENT`).
    The loss is our reconstruction of WRGPruner's. Parts: Chen et al., "Training Deep Nets with
    Sublinear Memory Cost", 2016, arXiv:1604.06174.
    """

    kinds = (Kind.GRADIENT, Kind.TAYLOR)

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[Tap],
        head: SaliencyHead | None,
        device: str = "cpu",
        *,
        mixed: bool = False,
        bound_bytes: int = MOST_ACTIVATION_BYTES,
    ) -> None:
        self._graph, self._taps, self._head = graph, tuple(taps), head
        self._device, self._mixed, self._bound = torch.device(device), mixed, bound_bytes
        twin = build_twin(widened(graph), trainable=False).eval()
        # Channels last is how convolutions run fastest, on the CPU and on tensor cores.
        self._twin = twin.to(self._device)
        self._twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._cuts: dict[int, tuple[int, ...]] = {}
        self._joins = None if _may_join(graph, taps) else False

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Return for each image the means over positions.

        Several images go through the model at once if it treats each of them as if alone.

        Raises:
            StatisticsError: If a gradient is not finite; it names the tensor. Or if no output
                depends on a tap in a way that has a gradient.
        """
        if self._joins is None and len(samples) > 1:
            names = [tap.tensor for tap in self._taps]
            with torch.no_grad(), self._seeded():
                run = partial(self._run, taps=names)
                self._joins = joins_alike(lambda feeds: run(_on(feeds, self._device)), samples[:2])
        rows: list[Row] = []
        for batch in join(samples, joins=bool(self._joins)):
            with self._seeded():
                rows += self._measure(batch.to(self._device))
        return rows

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Draw the same random numbers for an image, whatever came before."""
        on_gpu = self._device.type == "cuda"
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
            torch.default_generator.manual_seed(RANDOM_SEED)
            if on_gpu:
                torch.cuda.manual_seed(RANDOM_SEED)
            yield

    def _run(
        self, feeds: Mapping[str, Tensor], taps: Sequence[str] = (), **how: Any
    ) -> dict[str, Tensor]:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
            values: dict[str, Tensor] = self._twin(feeds, taps, **how)
            return values

    def _measure(self, batch: Batch) -> list[Row]:
        effects = _Effects(self._taps, batch.size, self._device)
        through = {tap.tensor: partial(effects.watch, tap) for tap in self._taps}
        values = self._run(batch.feeds, through=through, cuts=self._parts(batch))
        loss = _loss(values, [value.name for value in self._graph.outputs], batch, self._head)
        if effects.watches_any:
            if not loss.requires_grad:
                raise StatisticsError(
                    f"'{self._graph.name}': no output depends smoothly on any layer, so there is "
                    "no gradient; use a criterion without, such as --criterion wr"
                )
            torch.autograd.grad(loss, effects.start, allow_unused=True)
        return effects.rows()

    def _parts(self, batch: Batch) -> tuple[int, ...]:
        if batch.size not in self._cuts:
            with self._seeded():
                made = self._twin.bytes_made(batch.feeds)
            self._cuts[batch.size] = tuple(parts_within(made, self._bound))
        return self._cuts[batch.size]


class _Effects:
    """Gradient x activation of each tap, reduced as the backward pass comes by.

    Attributes:
        start: What the loss is differentiated by: every watched tensor seems to depend on it, so
            the backward pass reaches all of them and nothing else.
        watches_any: Whether any tensor has a gradient at all; one of integers has none.
    """

    def __init__(self, taps: Sequence[Tap], size: int, device: torch.device) -> None:
        self.start = torch.zeros((), device=device, requires_grad=True)
        self.watches_any = False
        self._size = size
        self._found = {
            kind: {tap.tensor: np.zeros((size, len(tap.units))) for tap in taps}
            for kind in GradientProbe.kinds
        }

    def watch(self, tap: Tap, value: Tensor) -> Tensor:
        """Return a tensor with the same values, whose gradient is looked at."""
        if not value.is_floating_point():
            return value
        self.watches_any = True
        note = partial(self._note, tap)
        watched: Tensor = _Watch.apply(value, self.start, note)  # type: ignore[no-untyped-call]
        return watched

    def rows(self) -> list[Row]:
        """Return what was found, by image.

        Raises:
            StatisticsError: If a number is not finite; it names the tensor.
        """
        for name, values in self._found[Kind.GRADIENT].items():
            if not np.isfinite(values).all():
                raise StatisticsError(
                    f"the gradient at '{name}' holds NaN or infinity; use a criterion without "
                    "gradient, such as --criterion wr"
                )
        whole = {kind: np.concatenate([*t.values()], axis=1) for kind, t in self._found.items()}
        return [{kind: rows[n] for kind, rows in whole.items()} for n in range(self._size)]

    def _note(self, tap: Tap, value: Tensor, gradient: Tensor) -> None:
        effect = (value * gradient).movedim(tap.axis, 0)
        # Of one image all axes but the channels are places, windows of it in the batch's place too.
        effect = effect.movedim(1, 0) if self._size > 1 else effect[None]
        effect = effect.reshape(self._size, len(tap.units), -1)
        means = {
            Kind.GRADIENT: effect.abs().mean(2, dtype=torch.float64),
            Kind.TAYLOR: effect.mean(2, dtype=torch.float64).abs(),
        }
        for kind, mean in means.items():
            # A body of a loop comes by once per turn.
            self._found[kind][tap.tensor] += mean.cpu().numpy()


class _Watch(torch.autograd.Function):
    """The identity, which tells the value and its gradient to a function."""

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        start: Tensor,  # noqa: ARG004 - what autograd takes the result to depend on
        note: Callable[[Tensor, Tensor], None],
    ) -> Tensor:
        # Saved by autograd, not by us: where the net runs in parts it is made again, too.
        ctx.save_for_backward(value)
        ctx.note = note
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (value,) = ctx.saved_tensors
        ctx.note(value, gradient)
        return gradient, None, None


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


def _may_join(graph: Graph, taps: Sequence[Tap]) -> bool:
    return has_open_batch(graph) and all(tap.axis > 0 for tap in taps)


def _on(feeds: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in feeds.items()}


def _loss(
    values: Mapping[str, Tensor], outputs: Sequence[str], batch: Batch, head: SaliencyHead | None
) -> Tensor:
    """Return the sum of the images' losses: none depends on another image."""
    if head is None:
        floats = [values[name].float() for name in outputs if values[name].is_floating_point()]
        terms = [0.5 * output.square().mean() for output in floats]
    else:
        prediction = probability(values[head.output].float(), head)
        mask = (prediction.detach() > OBJECT_THRESHOLD).float()
        if batch.mask is not None:
            mask = mask_at(batch.mask, prediction)
        terms = [bce_loss(prediction, mask), iou_loss(prediction, mask)]
    return batch.size * sum(terms, torch.zeros(()))


def mask_at(mask: Tensor, prediction: Tensor) -> Tensor:
    """Bring masks (N, 1, H, W) to the size of a prediction: the share of object in each pixel.

    The nearest pixel alone would lose tiny objects. The mask of one image stands for all of a
    fixed batch, which is that image many times.
    """
    resized = torch.nn.functional.interpolate(mask, prediction.shape[2:], mode="area")
    return resized.expand(prediction.shape[0], -1, -1, -1)


def probability(output: Tensor, head: SaliencyHead) -> Tensor:
    """Bring the model's output to (N, 1, H, W) in [0, 1]."""
    maps = output[:, None] if head.axis is None else output.movedim(head.axis, 1)
    if head.channels == 2:
        maps = maps[:, 1:] - maps[:, :1] if head.is_logit else maps[:, 1:]
    return maps.sigmoid() if head.is_logit else maps.clamp(0, 1)
