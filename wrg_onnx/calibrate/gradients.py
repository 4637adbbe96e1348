"""G: what the backward pass says; the only file outside ``twin/`` that knows torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.calibrate.data import Sample
from wrg_onnx.calibrate.head import SaliencyHead
from wrg_onnx.calibrate.measurements import Kind, Row
from wrg_onnx.calibrate.statistics import Float64Array
from wrg_onnx.calibrate.taps import Tap, channels_first
from wrg_onnx.graph import Graph, Provider, StatisticsError
from wrg_onnx.graph.session import RANDOM_SEED
from wrg_onnx.twin import build_twin
from wrg_onnx.twin.losses import bce_loss, iou_loss

OBJECT_THRESHOLD = 0.5
"""Where a sample has no mask, the model's own map above this is the pseudo mask."""


class GradientProbe:
    """Runs a model's twin forward and backward on one image at a time.

    The loss is BCE + IoU of the saliency map against the mask, or against the model's own map
    above 0.5 where an image has none. A model without a saliency map is asked how much its outputs
    depend on each channel: the loss is half the mean square of every float output. The gradients of
    the feature maps alone are computed, none of a weight.

    Args:
        graph: The model.
        taps: Where to look.
        head: How to read the saliency map, None if the model has none.
        provider: Where ONNX Runtime computes; with CUDA torch does there, too, if it can.

    Raises:
        UnsupportedOperatorError: If an operator has no twin.

    Source: abs(gradient x activation) as in Molchanov et al., "Pruning Convolutional Neural
    Networks for Resource Efficient Inference", ICLR 2017, arXiv:1611.06440, equation 8; the loss is
    our reconstruction of WRGPruner's.
    """

    kinds = (Kind.GRADIENT,)

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[Tap],
        head: SaliencyHead | None,
        provider: Provider = Provider.CPU,
    ) -> None:
        self._graph, self._taps, self._head = graph, tuple(taps), head
        on_gpu = provider is Provider.CUDA and torch.cuda.is_available()
        self._device = torch.device("cuda" if on_gpu else "cpu")
        self._twin = build_twin(graph, trainable=False).eval().to(self._device)

    def measure(self, sample: Sample) -> Row:
        """Return the means over positions of abs(gradient x activation).

        Raises:
            StatisticsError: If a gradient is not finite; it names the tensor. Or if no output
                depends on a tap in a way that has a gradient.
        """
        on_gpu = self._device.type == "cuda"
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
            # For operators that draw random numbers: the same for an image whatever came before.
            torch.default_generator.manual_seed(RANDOM_SEED)
            if on_gpu:
                torch.cuda.manual_seed(RANDOM_SEED)
            return self._measure(sample)

    def _measure(self, sample: Sample) -> Row:
        feeds = {
            name: torch.from_numpy(np.array(array)).to(self._device)
            for name, array in sample.feeds.items()
        }
        values = self._twin(feeds, [tap.tensor for tap in self._taps])
        loss = _loss(values, [value.name for value in self._graph.outputs], sample, self._head)
        # A map of integers has no gradient, as one that the loss does not depend on: both are zero.
        smooth = [tap for tap in self._taps if values[tap.tensor].requires_grad]
        tensors = [values[tap.tensor] for tap in smooth]
        if tensors and not loss.requires_grad:
            raise StatisticsError(
                f"'{self._graph.name}': no output depends smoothly on any layer, so there is no "
                "gradient; use a criterion without, such as --criterion wr"
            )
        gradients = torch.autograd.grad(loss, tensors, allow_unused=True) if tensors else ()
        found = {tap.tensor: np.zeros(len(tap.units)) for tap in self._taps}
        for tap, tensor, gradient in zip(smooth, tensors, gradients, strict=True):
            if gradient is not None:
                found[tap.tensor] = _mean_effect(tap, tensor, gradient)
        return {Kind.GRADIENT: np.concatenate(list(found.values()))}


def _mean_effect(tap: Tap, tensor: Tensor, gradient: Tensor) -> Float64Array:
    effect = (tensor.detach() * gradient).abs().double().cpu().numpy()
    mean = np.asarray(channels_first(tap, effect).mean(axis=(0, 2, 3)), np.float64)
    if not np.isfinite(mean).all():
        raise StatisticsError(
            f"the gradient at '{tap.tensor}' holds NaN or infinity; use a criterion without "
            "gradient, such as --criterion wr"
        )
    return mean


def _loss(
    values: Mapping[str, Tensor], outputs: Sequence[str], sample: Sample, head: SaliencyHead | None
) -> Tensor:
    if head is None:
        floats = [values[name] for name in outputs if values[name].is_floating_point()]
        return sum((0.5 * output.square().mean() for output in floats), torch.zeros(()))
    prediction = probability(values[head.output], head)
    if sample.mask is None:
        mask = (prediction.detach() > OBJECT_THRESHOLD).to(prediction.dtype)
    else:
        whole = torch.from_numpy(sample.mask.astype(np.float32))[None, None]
        mask = mask_at(whole.to(prediction.device), prediction)
    return bce_loss(prediction, mask) + iou_loss(prediction, mask)


def mask_at(mask: Tensor, prediction: Tensor) -> Tensor:
    """Bring masks (N, 1, H, W) to the size of a prediction: the share of object in each pixel.

    The nearest pixel alone would lose tiny objects.
    """
    return torch.nn.functional.interpolate(mask, prediction.shape[2:], mode="area")


def probability(output: Tensor, head: SaliencyHead) -> Tensor:
    """Bring the model's output to (N, 1, H, W) in [0, 1]."""
    maps = output[:, None] if head.axis is None else output.movedim(head.axis, 1)
    if head.channels == 2:
        maps = maps[:, 1:] - maps[:, :1] if head.is_logit else maps[:, 1:]
    return maps.sigmoid() if head.is_logit else maps.clamp(0, 1)
