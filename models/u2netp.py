"""U2-Net and U2NET-P, nets of nested U-shapes for salient object detection.

Each stage of a U-shaped net is a U-shaped net itself, a *residual U-block*: what it makes of what
it reads, over several scales, is added to a first convolution of it. All of it is made of 3x3
convolutions with batch normalisation and ReLU. Every scale of the decoder gives a saliency map, and
a 1x1 convolution fuses them.

Source: Qin et al., "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection",
Pattern Recognition 106, 2020, arXiv:2005.09007; figure 5 and table 1, rows U2-Net, and with the
dagger U2NET-P.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

Width: TypeAlias = tuple[int, int]
"""Channels inside a block, and those that it gives."""

INNER, OUTER = 16, 64
"""The width of each block of U2NET-P."""

ENCODER = ((32, 64), (32, 128), (64, 256), (128, 512), (256, 512))
BOTTOM = (256, 512)
DECODER = ((256, 512), (128, 256), (64, 128), (32, 64), (16, 64))
"""Widths of the blocks of U2-Net, in the order in which they compute."""

ENCODER_DEPTHS = (7, 6, 5, 4)
"""Layers of the blocks RSU-7 to RSU-4, whose insides shrink the map; the last two stages do not."""

DILATIONS = (1, 2, 4, 8)
"""Of the layers of RSU-4F, whose insides dilate the kernel instead of shrinking the map."""

HEAD_SCALE = 1e-3
"""Standard deviation of the heads' first weights."""


class ConvBlock(nn.Sequential):
    """3x3 convolution that keeps the size, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class ResidualUBlock(nn.Module):
    """A U-shaped net around a shortcut: RSU-L where it shrinks the map, RSU-LF where it dilates.

    The first convolution widens to the block's output. From it the encoder goes down, one layer a
    scale; the deepest layer keeps the scale of the one before it and dilates instead. The decoder
    goes up, each of its layers reading the one below beside the encoder's of its scale. The first
    convolution's output is added at the end.

    Args:
        inputs: Channels that it reads.
        inner: Channels of all layers but the first and the last.
        outputs: Channels that it gives.
        dilations: Of the encoder's layers, from the outside inwards, the deepest one included.
        shrinks: Whether the map is halved before each layer but the first and the deepest one.

    Shapes:
        (N, inputs, H, W) -> (N, outputs, H, W), for any H and W.
    """

    def __init__(
        self, inputs: int, inner: int, outputs: int, dilations: tuple[int, ...], *, shrinks: bool
    ) -> None:
        super().__init__()
        self.shrinks = shrinks
        self.first = ConvBlock(inputs, outputs)
        self.down = nn.ModuleList(
            ConvBlock(inner if depth else outputs, inner, dilation=dilation)
            for depth, dilation in enumerate(dilations)
        )
        # From the deepest scale upwards; the outermost layer widens again.
        self.up = nn.ModuleList(
            ConvBlock(2 * inner, inner if depth else outputs, dilation=dilations[depth])
            for depth in reversed(range(len(dilations) - 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        passed = [self.down[0](first)]
        for layer in self.down[1:-1]:
            passed.append(layer(_halved(passed[-1]) if self.shrinks else passed[-1]))
        x = self.down[-1](passed[-1])
        for layer in self.up:
            beside = passed.pop()
            x = layer(torch.cat([_resize(x, beside) if self.shrinks else x, beside], dim=1))
        deep: Tensor = x + first
        return deep


class U2Net(nn.Module):
    """Six stages down, five up, a saliency map from each of the upper six, and the fused one.

    Args:
        encoder: Widths of the five upper stages on the way down.
        bottom: Width of the deepest stage.
        decoder: Widths of the stages on the way up.

    Shapes:
        image (N, 3, H, W) -> seven maps of (N, 1, H, W) in [0, 1], for any H and W from 32 upwards:
        the fused one, then those of the sides from the finest to the coarsest.
    """

    def __init__(
        self,
        encoder: Sequence[Width] = ENCODER,
        bottom: Width = BOTTOM,
        decoder: Sequence[Width] = DECODER,
    ) -> None:
        super().__init__()
        shrinking = [(1,) * (depth - 1) + (2,) for depth in ENCODER_DEPTHS]
        kinds = [*((dilations, True) for dilations in shrinking), (DILATIONS, False)]
        # What a stage of the decoder reads: the one below, and the encoder's beside it.
        beside = [outer for _, outer in encoder]
        given = [bottom[1], *(outer for _, outer in decoder)]
        self.encoder = nn.ModuleList(
            ResidualUBlock(inputs, *width, dilations, shrinks=shrinks)
            for inputs, width, (dilations, shrinks) in zip(
                [3, *beside[:-1]], encoder, kinds, strict=True
            )
        )
        self.bottom = ResidualUBlock(beside[-1], *bottom, DILATIONS, shrinks=False)
        self.decoder = nn.ModuleList(
            ResidualUBlock(below + skipped, *width, dilations, shrinks=shrinks)
            for below, skipped, width, (dilations, shrinks) in zip(
                given[:-1], reversed(beside), decoder, reversed(kinds), strict=True
            )
        )
        self.sides = nn.ModuleList(nn.Conv2d(outer, 1, 3, padding=1) for outer in reversed(given))
        self.fuse = nn.Conv2d(len(self.sides), 1, 1)
        _draw(self)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        passed = [self.encoder[0](image)]
        for stage in self.encoder[1:]:
            passed.append(stage(_halved(passed[-1])))
        stages = [self.bottom(_halved(passed[-1]))]
        for stage in self.decoder:
            beside = passed.pop()
            stages.append(stage(torch.cat([_resize(stages[-1], beside), beside], dim=1)))
        logits = [
            _resize(side(stage), image)
            for side, stage in zip(self.sides, reversed(stages), strict=True)
        ]
        fused = self.fuse(torch.cat(logits, dim=1))
        return tuple(torch.sigmoid(x) for x in (fused, *logits))


class U2NetP(U2Net):
    """The same stages, all of one width.

    Args:
        inner: Channels inside a block.
        outer: Channels that each block gives.
    """

    def __init__(self, inner: int = INNER, outer: int = OUTER) -> None:
        width = (inner, outer)
        super().__init__([width] * 5, width, [width] * 5)


def u2net() -> U2Net:
    """Build U2-Net with random weights; 44.0 M parameters."""
    return U2Net()


def u2netp() -> U2NetP:
    """Build U2NET-P with random weights; 1.13 M parameters."""
    return U2NetP()


def _halved(x: Tensor) -> Tensor:
    # An odd side is rounded up, so that a side of 1 stays.
    return functional.max_pool2d(x, 2, stride=2, ceil_mode=True)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _draw(net: U2Net) -> None:
    """Draw weights that keep the signal's size along a path of layers.

    The biases keep torch's random start, and normalisations start where training starts them.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    # Each sum with a shortcut makes the signal larger, thirty times in all: heads of the same size
    # would leave nothing but zeros and ones behind the sigmoid, and no gradient.
    for head in net.sides:
        nn.init.normal_(cast("nn.Conv2d", head).weight, std=HEAD_SCALE)
