"""The training loss of salient object detection: BCE, IoU and SSIM, and their sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.data.saliency_map import SaliencyMap

_MARGIN = 1e-6
"""How far the logarithms of the cross entropy stay away from zero."""

_SMOOTH = 1.0
"""Pixels added to intersection and union, so that an empty mask has a loss and a gradient."""

_WINDOW = 11
_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2


def bce_loss(prediction: Tensor, mask: Tensor) -> Tensor:
    """Return the mean binary cross entropy, finite for predictions of exactly 0 and 1.

    Args:
        prediction: (N, 1, H, W) float, saliency in [0, 1].
        mask: (N, 1, H, W) float, ground truth in [0, 1].

    Returns:
        A scalar in [0, 13.9].

    Source: de Boer et al., "A Tutorial on the Cross-Entropy Method", 2005, as used by BASNet.
    """
    # Squeezing keeps the gradient of a saturated prediction; a clamp would set it to zero.
    p = _MARGIN + (1 - 2 * _MARGIN) * prediction.clamp(0, 1)
    return -(mask * p.log() + (1 - mask) * (1 - p).log()).mean()


def iou_loss(prediction: Tensor, mask: Tensor) -> Tensor:
    """Return one minus the soft intersection over union, averaged over the images.

    Args:
        prediction: (N, 1, H, W) float, saliency in [0, 1].
        mask: (N, 1, H, W) float, ground truth in [0, 1].

    Returns:
        A scalar in [0, 1]. One pixel is added to intersection and union, which the paper does not.

    Source: Mattyus et al., "DeepRoadMapper", ICCV 2017, as used by BASNet.
    """
    intersection = (prediction * mask).sum(dim=(1, 2, 3))
    union = prediction.sum(dim=(1, 2, 3)) + mask.sum(dim=(1, 2, 3)) - intersection
    return (1 - (intersection + _SMOOTH) / (union + _SMOOTH)).mean()


def ssim_loss(prediction: Tensor, mask: Tensor) -> Tensor:
    """Return one minus the mean structural similarity in windows of 11x11 pixels.

    Args:
        prediction: (N, 1, H, W) float, saliency in [0, 1].
        mask: (N, 1, H, W) float, ground truth in [0, 1].

    Returns:
        A scalar in [0, 2]. Borders are padded with zeros.

    Source: Wang et al., "Image Quality Assessment", IEEE TIP 13(4), 2004; window 11, sigma 1.5,
    C1 = 0.01^2, C2 = 0.03^2.
    """
    maps = torch.cat(
        [prediction, mask, prediction * prediction, mask * mask, prediction * mask], dim=1
    )
    mean_p, mean_m, square_p, square_m, product = _blur(maps).unbind(dim=1)
    # Rounding can leave a flat window with a variance just below zero.
    variance_p = (square_p - mean_p**2).clamp(min=0)
    variance_m = (square_m - mean_m**2).clamp(min=0)
    covariance = product - mean_p * mean_m
    similarity = ((2 * mean_p * mean_m + _C1) * (2 * covariance + _C2)) / (
        (mean_p**2 + mean_m**2 + _C1) * (variance_p + variance_m + _C2)
    )
    return 1 - similarity.mean()


def saliency_loss(prediction: Tensor, mask: Tensor) -> Tensor:
    """Return BCE + IoU + SSIM, the hybrid loss of BASNet, for one saliency output.

    Args:
        prediction: (N, 1, H, W) float, saliency in [0, 1].
        mask: (N, 1, H, W) float, ground truth in [0, 1].

    Returns:
        A scalar, 0 for a perfect prediction.

    Source: Qin et al., "BASNet: Boundary-Aware Salient Object Detection", CVPR 2019, equation 2.
    """
    return bce_loss(prediction, mask) + iou_loss(prediction, mask) + ssim_loss(prediction, mask)


def mask_at(mask: Tensor, prediction: Tensor) -> Tensor:
    """Bring masks to the size of a prediction: the share of object in each pixel.

    The nearest pixel alone would lose tiny objects. The mask of one image stands for all of a
    fixed batch, which is that image many times.

    Args:
        mask: (N, 1, H, W) float in [0, 1]; or one for all, (1, 1, H, W).
        prediction: (N, 1, h, w) float.

    Returns:
        (N, 1, h, w) float in [0, 1].
    """
    resized = functional.interpolate(mask, prediction.shape[2:], mode="area")
    return resized.expand(prediction.shape[0], -1, -1, -1)


def probability(output: Tensor, saliency: SaliencyMap) -> Tensor:
    """Turn a model's output into saliency.

    Args:
        output: (N, C, H, W), (N, H, W, C) or (N, H, W) float, C being 1 or 2.
        saliency: How to read it.

    Returns:
        (N, 1, H, W) float in [0, 1].
    """
    maps = output[:, None] if saliency.axis is None else output.movedim(saliency.axis, 1)
    if saliency.channels == 2:
        maps = maps[:, 1:] - maps[:, :1] if saliency.is_logit else maps[:, 1:]
    return maps.sigmoid() if saliency.is_logit else maps.clamp(0, 1)


def _blur(maps: Tensor) -> Tensor:
    """Filter each channel of (N, C, H, W) with the Gaussian window, rows then columns."""
    offsets = torch.arange(_WINDOW, dtype=maps.dtype, device=maps.device) - _WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    channels = maps.shape[1]
    column = weights.reshape(1, 1, _WINDOW, 1).expand(channels, 1, _WINDOW, 1)
    row = weights.reshape(1, 1, 1, _WINDOW).expand(channels, 1, 1, _WINDOW)
    maps = functional.conv2d(maps, column, padding=(_WINDOW // 2, 0), groups=channels)
    return functional.conv2d(maps, row, padding=(0, _WINDOW // 2), groups=channels)
