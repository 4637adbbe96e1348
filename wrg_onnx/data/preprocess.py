"""From an 8-bit image and its mask to what a model is fed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from wrg_onnx.errors import UsageError
from wrg_onnx.tsod.pictures import MASK_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wrg_onnx.graph.model import Array, Value

Layout: TypeAlias = Literal["NCHW", "NHWC"]
Order: TypeAlias = Literal["rgb", "bgr"]
Size: TypeAlias = tuple[int, int]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DEFAULT_SIDE = 224
"""Height and width where the model leaves them open, in pixels."""

SMALLEST_SIDE = 16
"""An input with a fixed height or width below this is taken for something else than an image."""

_IMAGE_DTYPES = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.uint8))


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes a model's input: ``(pixel * scale - mean) / std`` per channel.

    Attributes:
        input: The name of the input tensor.
        height: In pixels, at least 16.
        width: In pixels, at least 16.
        channels: 3 for colour, 1 for gray.
        layout: Where the channels are.
        dtype: float32, float16 or uint8; a uint8 input takes raw pixels.
        scale: Multiplies the pixel, which is in [0, 255].
        mean: One number per channel in the order of ``order``, subtracted after scaling.
        std: One number per channel in the order of ``order``, divided by last.
        order: The order of the colour channels; ``"rgb"`` for gray.
        batch: How many times the image is fed at once; a model may have a fixed batch above 1.

    Raises:
        UsageError: If a field is out of its range, or contradicts another.
    """

    input: str
    height: int
    width: int
    channels: int
    layout: Layout
    dtype: np.dtype[Any]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: Order
    batch: int = 1

    def __post_init__(self) -> None:
        if min(self.height, self.width) < SMALLEST_SIDE:
            least = f"{SMALLEST_SIDE}x{SMALLEST_SIDE}"
            raise UsageError(f"size must be at least {least}, got {self.height}x{self.width}")
        if self.channels not in (1, 3):
            raise UsageError(f"channels must be 1 or 3, got {self.channels}")
        if self.batch < 1:
            raise UsageError(f"batch must be at least 1, got {self.batch}")
        if self.layout not in get_args(Layout):
            raise UsageError(f"layout must be 'NCHW' or 'NHWC', got '{self.layout}'")
        if self.dtype not in _IMAGE_DTYPES:
            raise UsageError(f"an image input is float32, float16 or uint8, got {self.dtype}")
        if self.order not in get_args(Order):
            raise UsageError(f"order must be 'rgb' or 'bgr', got '{self.order}'")
        if self.order == "bgr" and self.channels == 1:
            raise UsageError(f"order 'bgr' needs 3 channels, input '{self.input}' has 1")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(map(math.isfinite, values)):
                raise UsageError(
                    f"{name} must be {self.channels} finite number(s), one per channel of input "
                    f"'{self.input}', got {values}"
                )
        if min(self.std) <= 0:
            raise UsageError(f"std must be positive, got {self.std}")
        if not math.isfinite(self.scale) or self.scale <= 0:
            raise UsageError(f"scale must be a positive number, got {self.scale}")
        if self.dtype == np.uint8 and (self.scale != 1 or any(self.mean) or set(self.std) != {1}):
            raise UsageError(f"input '{self.input}' is uint8: it takes raw pixels, unscaled")


def default_preprocessing(  # noqa: PLR0913 - each keyword is one option of the command line
    inputs: Sequence[Value],
    *,
    size: Size | None = None,
    scale: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    order: Order | None = None,
    layout: Layout | None = None,
) -> Preprocessing | None:
    """Guess how a model wants its images; what the caller gives is not guessed.

    An input is taken for an image if it is float32, float16 or uint8, of rank 4, with 1 or 3
    channels, and no fixed side below ``SMALLEST_SIDE``. A fixed batch is filled with one image.
    Colour gets ImageNet's mean and std on pixels in [0, 1], gray gets pixels in [0, 1], uint8 raw
    pixels. With a ``scale`` and no mean or std these are 0 and 1: ImageNet's numbers belong to its
    own scale.

    Args:
        inputs: What the model is fed.
        size: Height and width in pixels; open sides are 224 by default.
        scale: Multiplies the pixel, which is in [0, 255].
        mean: One number per channel, in the order of ``order``.
        std: One number per channel, in the order of ``order``.
        order: ``"rgb"`` by default.
        layout: Follows from the shape; given, it is checked against it.

    Returns:
        The preprocessing; None if the model does not have exactly one input, an image.

    Raises:
        UsageError: If an option is out of its range, contradicts the input's fixed shape, or is
            given although the model takes no image.

    Source: mean and std, https://docs.pytorch.org/vision/stable/models.html
    """
    found = image_layout(inputs[0]) if len(inputs) == 1 else None
    if found is None:
        if any(option is not None for option in (size, scale, mean, std, order, layout)):
            names = ", ".join(f"'{value.name}' {_shown(value.shape)}" for value in inputs)
            raise UsageError(f"image options need one image input; the model's inputs are {names}")
        return None
    value = inputs[0]
    if layout not in (None, found[0]):
        raise UsageError(
            f"layout '{layout}' does not fit input '{value.name}' {_shown(value.shape)}, "
            f"which is {found[0]}"
        )
    layout, channels = found
    height, width = _sides(value, layout, size)
    raw = value.dtype == np.uint8
    default_mean: tuple[float, ...] = (0.0,) * channels
    default_std: tuple[float, ...] = (1.0,) * channels
    if channels == 3 and not raw and scale is None:
        # Both are stated for RGB; reversing them keeps each with its colour.
        step = -1 if order == "bgr" else 1
        default_mean, default_std = IMAGENET_MEAN[::step], IMAGENET_STD[::step]
    return Preprocessing(
        input=value.name,
        height=height,
        width=width,
        channels=channels,
        layout=layout,
        dtype=value.dtype,
        scale=scale if scale is not None else (1.0 if raw else 1 / 255),
        mean=default_mean if mean is None else tuple(mean),
        std=default_std if std is None else tuple(std),
        order=order or "rgb",
        batch=_batch(value),
    )


def to_feed(image: NDArray[np.uint8], preprocessing: Preprocessing) -> Array:
    """Turn one image into a batch, of 1 unless the model has another.

    The image is resized without keeping its proportions, by Pillow's bilinear filter, which
    averages where it shrinks. Gray is the luma of ITU-R BT.601.

    Args:
        image: (H, W, 3) uint8, RGB.
        preprocessing: What the model wants.

    Returns:
        (B, C, height, width) or (B, height, width, C) of the input's dtype, contiguous, the same
        image B times.
    """
    picture = Image.fromarray(image)
    if preprocessing.channels == 1:
        picture = picture.convert("L")
    size = (preprocessing.width, preprocessing.height)
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    # (H, W) of a gray picture becomes (H, W, 1).
    pixels = np.asarray(picture).reshape(
        preprocessing.height, preprocessing.width, preprocessing.channels
    )
    if preprocessing.order == "bgr":
        pixels = pixels[..., ::-1]
    if preprocessing.dtype != np.uint8:
        scale = np.float32(preprocessing.scale)
        mean = np.array(preprocessing.mean, np.float32)
        std = np.array(preprocessing.std, np.float32)
        pixels = ((pixels * scale - mean) / std).astype(preprocessing.dtype)
    if preprocessing.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(np.broadcast_to(pixels, (preprocessing.batch, *pixels.shape)))


def to_pixels(feed: Array, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Turn what a model is fed into the picture that it was made of, at the model's resolution.

    Args:
        feed: (B, C, H, W) or (B, H, W, C), as ``to_feed`` gives it; of the batch the first counts.
        preprocessing: What the model wants.

    Returns:
        (H, W, 3) uint8, RGB, or (H, W) of a gray picture. What no picture gives, such as an array
        of another range, is black or white.
    """
    pixels = feed[0].astype(np.float32)
    if preprocessing.layout == "NCHW":
        pixels = pixels.transpose(1, 2, 0)
    if preprocessing.dtype != np.uint8:
        std, mean = (np.array(one, np.float32) for one in (preprocessing.std, preprocessing.mean))
        pixels = (pixels * std + mean) / np.float32(preprocessing.scale)
    whole = np.rint(np.clip(np.nan_to_num(pixels), 0, 255)).astype(np.uint8)
    if preprocessing.order == "bgr":
        whole = whole[..., ::-1]
    return np.ascontiguousarray(whole[..., 0] if preprocessing.channels == 1 else whole)


def to_mask(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """Bring a mask to the model's resolution: bilinear, then a pixel counts from 128 up.

    An object so small that no pixel reaches 128 keeps its brightest pixels, so that an image with
    an object never turns into one without.

    Args:
        mask: (H, W) uint8; 0 is background, 255 the object.
        height: In pixels.
        width: In pixels.

    Returns:
        (height, width) bool, True on the object.
    """
    resized = Image.fromarray(mask).resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(resized)
    lost = bool((mask >= MASK_THRESHOLD).any()) and values.max() < MASK_THRESHOLD
    return values >= (max(int(values.max()), 1) if lost else MASK_THRESHOLD)


def image_layout(value: Value) -> tuple[Layout, int] | None:
    """Return an image input's layout and channels, or None if it is something else.

    An image is float32, float16 or uint8, of rank 4, with 1 or 3 channels, and no fixed side below
    ``SMALLEST_SIDE``. At most one layout fits: the channels of the one would be a side below 16 of
    the other.
    """
    shape = value.shape
    if value.dtype not in _IMAGE_DTYPES or shape is None or len(shape) != 4:
        return None
    for layout in get_args(Layout):
        channels = shape[1 if layout == "NCHW" else 3]
        sides = [side for side in _side_sizes(shape, layout) if isinstance(side, int)]
        large = all(side >= SMALLEST_SIDE for side in sides)
        if isinstance(channels, int) and channels in (1, 3) and large:
            return layout, channels
    return None


def _batch(value: Value) -> int:
    first = value.shape[0] if value.shape else 1
    return first if isinstance(first, int) else 1


def _side_sizes(
    shape: tuple[int | str | None, ...], layout: Layout
) -> tuple[int | str | None, int | str | None]:
    return (shape[2], shape[3]) if layout == "NCHW" else (shape[1], shape[2])


def _sides(value: Value, layout: Layout, size: Size | None) -> Size:
    """Return height and width: fixed by the model, else asked for, else 224."""
    shape = value.shape or ()
    fixed = _side_sizes(shape, layout)
    wanted = size or (DEFAULT_SIDE, DEFAULT_SIDE)
    if size is not None and any(
        isinstance(side, int) and side != asked for side, asked in zip(fixed, size, strict=True)
    ):
        raise UsageError(
            f"size {size[0]}x{size[1]} does not fit input '{value.name}' {_shown(shape)}"
        )
    height, width = (
        side if isinstance(side, int) else asked for side, asked in zip(fixed, wanted, strict=True)
    )
    return height, width


def _shown(shape: tuple[int | str | None, ...] | None) -> str:
    if shape is None:
        return "[unknown rank]"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
