"""Preprocessing: what is guessed, what is refused, and what the arrays hold."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from wrg_onnx.data.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    default_preprocessing,
    to_feed,
    to_mask,
    to_pixels,
)
from wrg_onnx.errors import UsageError
from wrg_onnx.graph.model import Value


def image_input(*shape, dtype=np.float32, name="x"):
    return [Value(name, np.dtype(dtype), tuple(shape))]


def test_colour_gets_imagenet_numbers():
    p = default_preprocessing(image_input("batch", 3, 240, 320))
    assert (p.input, p.height, p.width, p.channels, p.layout) == ("x", 240, 320, 3, "NCHW")
    assert (p.scale, p.mean, p.std, p.order) == (1 / 255, IMAGENET_MEAN, IMAGENET_STD, "rgb")


def test_gray_gets_the_unit_interval():
    p = default_preprocessing(image_input(None, 1, 256, 256))
    assert (p.channels, p.scale, p.mean, p.std) == (1, 1 / 255, (0.0,), (1.0,))


def test_channels_last_is_found():
    p = default_preprocessing(image_input(1, 257, 250, 3))
    assert (p.layout, p.height, p.width) == ("NHWC", 257, 250)


def test_uint8_gets_raw_pixels():
    p = default_preprocessing(image_input(1, 32, 40, 3, dtype=np.uint8))
    assert (p.scale, p.mean, p.std) == (1.0, (0.0,) * 3, (1.0,) * 3)
    image = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    np.testing.assert_array_equal(to_feed(image, p), image[None])


def test_open_sides_are_224_unless_given():
    inputs = image_input("n", 3, "h", None)
    assert default_preprocessing(inputs).height == default_preprocessing(inputs).width == 224
    p = default_preprocessing(inputs, size=(64, 96))
    assert (p.height, p.width) == (64, 96)


@pytest.mark.parametrize(
    "inputs",
    [
        image_input(1, 3, 32, 32) + image_input(1, 2, name="scale"),
        image_input(1, 3, 32, 32) + image_input(1, 3, 32, 32, name="y"),
        image_input(1, 4, 32, 32),
        image_input(1, 3, 32),
        image_input(1, 3, 4, 32),
        image_input(1, "c", 32, 32),
        image_input(1, 3, 32, 32, dtype=np.int64),
        [Value("x", np.dtype(np.float32), None)],
        [],
    ],
)
def test_anything_but_one_image_has_no_preprocessing(inputs):
    assert default_preprocessing(inputs) is None
    with pytest.raises(UsageError, match="need one image input"):
        default_preprocessing(inputs, scale=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (64, 32)}, r"size 64x32 does not fit input 'x' \[\?, 3, 32, 32\]"),
        ({"layout": "NHWC"}, "layout 'NHWC' does not fit input 'x'"),
        ({"mean": (0.5,)}, "mean must be 3 finite number"),
        ({"std": (1, 0, 1)}, "std must be positive"),
        ({"mean": (np.nan, 0, 0)}, "finite"),
        ({"scale": 0.0}, "scale must be a positive number"),
        ({"order": "gbr"}, "order must be 'rgb' or 'bgr', got 'gbr'"),
    ],
)
def test_an_option_that_does_not_fit_is_a_usage_error(options, message):
    with pytest.raises(UsageError, match=message):
        default_preprocessing(image_input(None, 3, 32, 32), **options)


def test_gray_has_no_bgr_and_uint8_no_scale():
    with pytest.raises(UsageError, match="needs 3 channels"):
        default_preprocessing(image_input(1, 1, 32, 32), order="bgr")
    with pytest.raises(UsageError, match="raw pixels"):
        default_preprocessing(image_input(1, 3, 32, 32, dtype=np.uint8), scale=1 / 255)
    with pytest.raises(UsageError, match="at least 16x16, got 8x32"):
        default_preprocessing(image_input(1, 3, "h", "w"), size=(8, 32))


def test_a_layout_that_fits_changes_nothing():
    inputs = image_input(1, "h", "w", 3)
    assert default_preprocessing(inputs, layout="NHWC") == default_preprocessing(inputs)


def test_a_scale_alone_turns_imagenet_numbers_off():
    p = default_preprocessing(image_input(1, 3, 32, 32), scale=1 / 127.5, mean=(1, 1, 1))
    assert (p.mean, p.std) == ((1, 1, 1), (1.0, 1.0, 1.0))


def test_bgr_reverses_imagenet_numbers_with_the_channels():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    inputs = image_input(1, 3, 32, 32)
    rgb = to_feed(image, default_preprocessing(inputs))
    bgr = to_feed(image, default_preprocessing(inputs, order="bgr"))
    np.testing.assert_array_equal(bgr, rgb[:, ::-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_feed_is_scaled_then_normalised(dtype):
    image = np.random.default_rng(1).integers(0, 256, (20, 24, 3), np.uint8)
    feed = to_feed(image, default_preprocessing(image_input(1, 3, 20, 24, dtype=dtype)))
    expected = ((image / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)[None]
    assert feed.dtype == dtype
    assert feed.flags.c_contiguous
    np.testing.assert_allclose(feed, expected, atol=1e-6 if dtype == np.float32 else 2e-3)


def test_a_feed_has_the_input_size_and_layout():
    image = np.zeros((50, 70, 3), np.uint8)
    assert to_feed(image, default_preprocessing(image_input(1, 16, 32, 3))).shape == (1, 16, 32, 3)
    assert to_feed(image, default_preprocessing(image_input(1, 1, 16, 32))).shape == (1, 1, 16, 32)


def test_gray_is_luma():
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 1] = 255
    feed = to_feed(image, default_preprocessing(image_input(1, 1, 16, 16)))
    np.testing.assert_allclose(feed, 0.587, atol=1 / 255)


def test_a_mask_counts_from_128():
    mask = np.array([[0, 127], [128, 255]], np.uint8)
    np.testing.assert_array_equal(to_mask(mask, 2, 2), [[False, False], [True, True]])


def test_an_object_of_one_pixel_survives_shrinking():
    mask = np.zeros((300, 300), np.uint8)
    mask[123, 211] = 255
    small = to_mask(mask, 100, 100)
    assert small.sum() >= 1
    assert small[41, 70]
    assert not to_mask(np.zeros((300, 300), np.uint8), 100, 100).any()


def test_a_fixed_batch_is_filled_with_the_image():
    preprocessing = default_preprocessing(image_input(4, 3, 32, 48))
    assert preprocessing is not None
    assert preprocessing.batch == 4
    feed = to_feed(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8), preprocessing)
    assert feed.shape == (4, 3, 32, 48)
    assert (feed == feed[:1]).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_what_is_fed_turns_back_into_the_picture(channels, layout, order):
    if channels == 1:
        order = "rgb"
    wanted = Preprocessing(
        "image", 20, 24, channels, layout, np.dtype(np.float32), 1 / 255,
        (0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels], order, 2,
    )  # fmt: skip
    image = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    expected = image if channels == 3 else np.asarray(Image.fromarray(image).convert("L"))
    np.testing.assert_array_equal(to_pixels(to_feed(image, wanted), wanted), expected)


def test_raw_pixels_turn_back_as_they_are():
    wanted = Preprocessing(
        "image", 16, 16, 3, "NHWC", np.dtype(np.uint8), 1.0, (0.0,) * 3, (1.0,) * 3, "bgr"
    )
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(to_pixels(to_feed(image, wanted), wanted), image)


def test_what_no_picture_gives_turns_black_or_white():
    wanted = Preprocessing(
        "image", 16, 16, 1, "NCHW", np.dtype(np.float32), 1.0, (0.0,), (1.0,), "rgb"
    )
    feed = np.array([-1e30, 1e30, np.nan, np.inf, -np.inf, 7.4], np.float32).reshape(1, 1, 2, 3)
    assert to_pixels(feed, wanted).tolist() == [[0, 255, 0], [255, 0, 7]]
