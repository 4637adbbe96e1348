"""Pictures of reports are small, and are what they were made of."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from wrg_onnx.report.details import PICTURE_BYTES, PICTURE_SIDE, Picture
from wrg_onnx.report.pictures import gray_pixels, small_picture
from wrg_onnx.report.shown import shown


def pixels_of(picture):
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.png))))
    assert decoded.shape[:2] == (picture.height, picture.width)
    return decoded


@pytest.mark.parametrize("shape", [(24, 40), (40, 24, 3), (1, 1), (PICTURE_SIDE, PICTURE_SIDE)])
def test_a_small_picture_keeps_its_pixels(shape):
    pixels = np.zeros(shape, np.uint8)
    pixels[: shape[0] // 2, 0] = 200
    np.testing.assert_array_equal(pixels_of(small_picture(pixels)), pixels)


def test_a_large_picture_is_shrunk_in_proportion_by_averaging():
    pixels = np.zeros((480, 960), np.uint8)
    pixels[:, 1::2] = 200
    picture = small_picture(pixels)
    assert (picture.width, picture.height) == (PICTURE_SIDE, PICTURE_SIDE // 2)
    assert abs(pixels_of(picture).mean() - 100) < 2


@pytest.mark.parametrize("shape", [(500, 500, 3), (3000, 20), (20, 3000)])
def test_noise_that_no_file_makes_small_is_shrunk_until_it_fits(shape):
    picture = small_picture(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    assert len(picture.png) <= PICTURE_BYTES
    assert max(picture.width, picture.height) <= PICTURE_SIDE
    assert pixels_of(picture).std() > 1  # some of it is left


def test_probabilities_are_gray_from_black_to_white():
    values = np.array([[0.0, 0.5, 1.0, -1.0, 2.0]])
    assert gray_pixels(values).tolist() == [[0, 128, 255, 0, 255]]


@pytest.mark.parametrize("png", ["", "no base64!", "aGVsbG8=", "\u6f22", "<script>"])
def test_what_is_no_png_file_in_base64_is_refused(png):
    with pytest.raises(ValueError, match=r"."):
        Picture(png, 1, 1)


def test_a_picture_without_a_size_is_refused():
    png = small_picture(np.zeros((4, 4), np.uint8)).png
    with pytest.raises(ValueError, match="a picture of 0x4 pixels"):
        Picture(png, 0, 4)


def test_a_picture_is_not_cut_as_a_long_word_is():
    picture = small_picture(np.random.default_rng(0).integers(0, 256, (99, 99)).astype(np.uint8))
    assert len(picture.png) > 1000
    assert shown({"one": picture})["one"] is picture
