"""The saliency nets, and how the weights that torchvision publishes get into one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from models.small_unet import small_unet
from models.u2netp import INNER, OUTER, U2NetP
from models.vgg16_sod import VGG16SOD, vgg16_sod
from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.export.state_dict import read_weights

NetName: TypeAlias = Literal["vgg16_sod", "small_unet", "u2netp"]

BACKBONE = "features."
"""What the names of VGG16's convolutions start with, in torchvision and here."""

LOADED = 0.1
"""What the rate of a backbone is multiplied by whose weights were loaded."""


@dataclass(frozen=True, slots=True)
class NetOptions:
    """Which net to build.

    Attributes:
        name: ``"vgg16_sod"``, ``"small_unet"`` or ``"u2netp"``.
        width: Multiplies the channels of every hidden layer.
        batch_norm: Whether batch normalisation follows VGG16's convolutions. The others always
            have it.

    Raises:
        UsageError: If a field is out of its range.
    """

    name: NetName
    width: float = 1.0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.name not in get_args(NetName):
            names = "' or '".join(get_args(NetName))
            raise UsageError(f"net must be '{names}', got '{self.name}'")
        if not 0 < self.width <= 8:
            raise UsageError(f"width must be in (0, 8], got {self.width:g}")
        if self.batch_norm and self.name != "vgg16_sod":
            raise UsageError(f"batch-norm is for vgg16_sod: {self.name} always has it")


def build(options: NetOptions, seed: int) -> nn.Module:
    """Build a net with weights that are drawn under a seed; torch's own generator stays."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if options.name == "small_unet":
            return small_unet(options.width)
        if options.name == "u2netp":
            inner, outer = (max(1, round(size * options.width)) for size in (INNER, OUTER))
            return U2NetP(inner, outer)
        return vgg16_sod(options.width, batch_norm=options.batch_norm)


def load_backbone(net: VGG16SOD, path: Path) -> None:
    """Load torchvision's VGG16, with or without batch normalisation, into the net's features.

    Args:
        net: Its decoder keeps the weights that it has.
        path: What ``torch.save`` makes of the state dict, or ``.safetensors``. The classifier's
            weights may be among it, and are left out. No code in the file is run.

    Raises:
        ModelError: If the file cannot be read, or does not fit; the first key that differs is
            named, in the order of the net's layers. Then the net is as it was.
    """
    given = {k: v for k, v in read_weights(path).items() if k.startswith(BACKBONE)}
    wanted = {k: v for k, v in net.state_dict().items() if k.startswith(BACKBONE)}
    problem = _first_difference(given, wanted)
    if problem:
        raise ModelError(
            f"'{path}' does not fit the backbone: {problem}; torchvision's vgg16 fits a net of "
            "width 1, its vgg16_bn one of width 1 with --batch-norm"
        )
    net.load_state_dict(given, strict=False)


def _first_difference(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Say what the first key is that differs; nothing if none does."""
    for key, tensor in wanted.items():
        if key not in given:
            return f"it has no '{key}'"
        if given[key].shape != tensor.shape:
            shapes = [list(t.shape) for t in (given[key], tensor)]
            return f"'{key}' is {shapes[0]}, expected {shapes[1]}"
    for key in given:
        if key not in wanted:
            return f"the net has no '{key}'"
    return ""
