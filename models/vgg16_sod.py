"""VGG16 as a classifier, and as the backbone of a net for salient object detection.

The convolutions are named as torchvision names them (``features.N.weight``), so that the weights
it publishes load into both.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015, configuration D.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of each stage; a stage halves the resolution of the one before it."""

DECODER = 64
"""Channels that every stage has in the decoder."""


class VGG16(nn.Module):
    """The classifier; 138.36 M parameters at full width.

    Args:
        width: Multiplies the channels of every hidden layer.
        batch_norm: Whether batch normalisation follows each convolution.
        classes: Length of the output.

    Shapes:
        image (N, 3, 224, 224) -> logits (N, classes).
    """

    def __init__(
        self, width: float = 1.0, *, batch_norm: bool = False, classes: int = 1000
    ) -> None:
        super().__init__()
        self.features = vgg_features(width, batch_norm=batch_norm)
        self.features.append(nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        channels, hidden = _scaled(STAGES[-1][0], width), _scaled(4096, width)
        self.classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )
        _draw(self)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(image)).flatten(1))
        return logits


class VGG16SOD(nn.Module):
    """VGG16 with a light decoder from 1/16 back to full size; 15.1 M parameters at full width.

    Each stage is brought to the decoder's channels by a lateral 1x1 convolution. From the deepest
    stage upwards, what is there so far is enlarged, joined with the lateral one and mixed by a 3x3
    convolution, with a shortcut around it.

    Args:
        width: Multiplies the channels of every hidden layer.
        batch_norm: Whether batch normalisation follows each convolution of the backbone. Without
            it the net learns from pretrained weights, or from nothing at a small rate and slowly.

    Shapes:
        image (N, 3, H, W) -> saliency (N, 1, H, W) in [0, 1], for any H and W from 16 upwards.
    """

    def __init__(self, width: float = 1.0, *, batch_norm: bool = False) -> None:
        super().__init__()
        self.features = vgg_features(width, batch_norm=batch_norm)
        decoder = _scaled(DECODER, width)
        self.laterals = nn.ModuleList(
            nn.Conv2d(_scaled(channels, width), decoder, 1) for channels, _ in STAGES
        )
        self.mixers = nn.ModuleList(
            nn.Conv2d(2 * decoder, decoder, 3, padding=1) for _ in STAGES[1:]
        )
        self.head = nn.Conv2d(decoder, 1, 3, padding=1)
        _draw(self)
        # Salient pixels are rare: the net starts from "1 in 50" instead of from "every second".
        nn.init.constant_(cast("Tensor", self.head.bias), -4.0)

    def forward(self, image: Tensor) -> Tensor:
        x, stages = image, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                stages.append(x)
            x = layer(x)
        stages.append(x)
        sides = [lateral(stage) for lateral, stage in zip(self.laterals, stages, strict=True)]
        x = functional.relu(sides.pop())
        for mixer in self.mixers:
            side = sides.pop()
            x = functional.interpolate(
                x, size=side.shape[-2:], mode="bilinear", align_corners=False
            )
            x = functional.relu(x + mixer(torch.cat([x, side], dim=1)))
        return torch.sigmoid(self.head(x))


def vgg_features(width: float = 1.0, *, batch_norm: bool = False) -> nn.Sequential:
    """Build the thirteen convolutions and the pools between the stages."""
    layers: list[nn.Module] = []
    inputs = 3
    for stage, (channels, count) in enumerate(STAGES):
        if stage:
            layers.append(nn.MaxPool2d(2))
        for _ in range(count):
            outputs = _scaled(channels, width)
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.ReLU(inplace=True))
            inputs = outputs
    return nn.Sequential(*layers)


def vgg16() -> VGG16:
    """Build the classifier with random weights, 138.36 M parameters."""
    return VGG16()


def vgg16_sod(width: float = 1.0, *, batch_norm: bool = False) -> VGG16SOD:
    """Build the saliency net with random weights, 15.1 M parameters at full width."""
    return VGG16SOD(width, batch_norm=batch_norm)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _draw(net: nn.Module) -> None:
    """Draw weights that keep the signal's size through the depth.

    The biases keep torch's random start: zeros are equal in all layers, and the exporter would let
    them share one initializer, which ties layers that a trained net leaves free.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
