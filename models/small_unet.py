"""A small U-shaped net for salient object detection, the one that `models/tiny_unet.onnx` holds.

It has one of each thing that makes channel pruning hard: batch normalisation, residual sums, a
depthwise convolution and skips that are concatenated.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 24, 32, 64, 128)
"""Channels of the stem, then of the stages at 1/2, 1/4, 1/8 and 1/16 of the input's size."""


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class DepthwiseBlock(nn.Module):
    """A dilated depthwise convolution and a pointwise one, around an identity shortcut."""

    def __init__(self, channels: int, *, dilation: int = 2) -> None:
        super().__init__()
        self.depthwise = nn.Sequential(
            nn.Conv2d(
                channels, channels, 3, padding=dilation, dilation=dilation, groups=channels,
                bias=False,
            ),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.pointwise = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.pointwise(self.depthwise(x)))


class SmallUNet(nn.Module):
    """Encoder to 1/16, decoder with concatenated skips back to 1/2, one saliency map.

    Args:
        width: Multiplies every layer's channels.

    Shapes:
        image (N, 3, H, W) -> saliency (N, 1, H, W) in [0, 1], for any H and W from 16 upwards.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        stem, half, quarter, eighth, deep = (max(1, round(width * c)) for c in WIDTHS)
        self.down_half = nn.Sequential(ConvBlock(3, stem, stride=2), ConvBlock(stem, half))
        self.down_quarter = nn.Sequential(
            ConvBlock(half, quarter, stride=2), ResidualBlock(quarter)
        )
        self.down_eighth = nn.Sequential(
            ConvBlock(quarter, eighth, stride=2), ResidualBlock(eighth)
        )
        self.bottom = nn.Sequential(
            ConvBlock(eighth, deep, stride=2), ResidualBlock(deep), DepthwiseBlock(deep)
        )
        self.up_eighth = ConvBlock(deep + eighth, eighth)
        self.up_quarter = ConvBlock(eighth + quarter, quarter)
        self.up_half = ConvBlock(quarter + half, half)
        self.head = nn.Conv2d(half, 1, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        # Salient pixels are rare: the net starts from "1 in 50" instead of from "every second".
        nn.init.constant_(cast("Tensor", self.head.bias), -4.0)

    def forward(self, image: Tensor) -> Tensor:
        half = self.down_half(image)
        quarter = self.down_quarter(half)
        eighth = self.down_eighth(quarter)
        x = self.bottom(eighth)
        x = self.up_eighth(torch.cat([_resize(x, eighth), eighth], dim=1))
        x = self.up_quarter(torch.cat([_resize(x, quarter), quarter], dim=1))
        x = self.up_half(torch.cat([_resize(x, half), half], dim=1))
        return torch.sigmoid(_resize(self.head(x), image))


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def small_unet(width: float = 1.0) -> SmallUNet:
    """Build the net with fresh random weights; 0.66 M parameters at full width."""
    return SmallUNet(width)
