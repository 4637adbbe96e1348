"""VGG16, ResNet-18 and -50, MobileNetV2 for tests and benchmarks; named as in torchvision.

The weights are random. Batch normalisation starts from random statistics as well, because equal
ones would be folded into equal biases, and the exporter lets equal biases share one initializer.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

RESNET_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Channels and first stride of the four stages; each has two blocks."""

BOTTLENECK_BLOCKS = (3, 4, 6, 3)
"""Blocks in each of the four stages of ResNet-50."""

VGG_STAGES = (2, 2, 3, 3, 3)
"""Convolutions before each pooling of VGG16."""

MOBILENET_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, channels, blocks and first stride of each stage."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, which is projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """ResNet-18; 11.69 M parameters.

    Shapes:
        image (N, 3, H, W) -> logits (N, classes).

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inputs = 64
        for number, (channels, stride) in enumerate(RESNET_STAGES, start=1):
            stage = nn.Sequential(
                BasicBlock(inputs, channels, stride), BasicBlock(channels, channels, 1)
            )
            self.add_module(f"layer{number}", stage)
            inputs = channels
        self.fc = nn.Linear(inputs, classes)
        _draw(self)

    def forward(self, image: Tensor) -> Tensor:
        x = self.maxpool(functional.relu(self.bn1(self.conv1(image))))
        for number in range(1, len(RESNET_STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class Bottleneck(nn.Module):
    """Narrow, filter 3x3, widen fourfold; the shortcut is projected where the shape changes."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * inner, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * inner)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != 4 * inner:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * inner, 1, stride, bias=False), nn.BatchNorm2d(4 * inner)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """ResNet-50; 25.56 M parameters at the width of 64.

    Shapes:
        image (N, 3, H, W) -> logits (N, classes).

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; the stride is that
    of the 3x3 convolution, as in torchvision.
    """

    def __init__(self, classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inputs = width
        for stage, blocks in enumerate(BOTTLENECK_BLOCKS):
            inner = width << stage
            layers = [Bottleneck(inputs, inner, stride=1 if stage == 0 else 2)]
            layers += [Bottleneck(4 * inner, inner, stride=1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            inputs = 4 * inner
        self.fc = nn.Linear(inputs, classes)
        _draw(self)

    def forward(self, image: Tensor) -> Tensor:
        x = self.maxpool(functional.relu(self.bn1(self.conv1(image))))
        for number in range(1, len(BOTTLENECK_BLOCKS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class VGG16(nn.Module):
    """VGG16 for images of one size; 138.36 M parameters at the width of 64 and 224 pixels.

    Shapes:
        image (N, 3, size, size) -> logits (N, classes); size is a multiple of 32.

    Source: Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015, column D.
    """

    def __init__(self, classes: int = 1000, width: int = 64, size: int = 224) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for stage, count in enumerate(VGG_STAGES):
            outputs = min(width << stage, 8 * width)
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(inputs * (size // 32) ** 2, 64 * width), nn.ReLU(inplace=True),
            nn.Linear(64 * width, 64 * width), nn.ReLU(inplace=True),
            nn.Linear(64 * width, classes),
        )  # fmt: skip
        _draw(self)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(image).flatten(1))
        return logits


class InvertedResidual(nn.Module):
    """Widen by a pointwise convolution, filter depthwise, narrow; a shortcut if shapes allow."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        widen = [_conv_relu6(inputs, hidden, kernel=1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen,
            _conv_relu6(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """MobileNetV2; 3.50 M parameters.

    Shapes:
        image (N, 3, H, W) -> logits (N, classes).

    Source: Sandler et al., "MobileNetV2: Inverted Residuals", CVPR 2018, table 2.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_relu6(3, 32, stride=2)]
        inputs = 32
        for expansion, outputs, blocks, first_stride in MOBILENET_STAGES:
            for block in range(blocks):
                stride = 1 if block else first_stride
                layers.append(InvertedResidual(inputs, outputs, stride=stride, expansion=expansion))
                inputs = outputs
        layers.append(_conv_relu6(inputs, 1280, kernel=1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))
        _draw(self)

    def forward(self, image: Tensor) -> Tensor:
        x = functional.adaptive_avg_pool2d(self.features(image), 1)
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


def resnet18() -> ResNet18:
    """Build ResNet-18 with random weights."""
    return ResNet18()


def resnet50() -> ResNet50:
    """Build ResNet-50 with random weights."""
    return ResNet50()


def vgg16() -> VGG16:
    """Build VGG16 for 224 x 224 images with random weights."""
    return VGG16()


def mobilenet_v2() -> MobileNetV2:
    """Build MobileNetV2 with random weights."""
    return MobileNetV2()


def _conv_relu6(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


def _draw(net: nn.Module) -> None:
    """Draw the weights, and the statistics and scales of the normalisations near theirs."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
