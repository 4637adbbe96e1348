"""The generator of tiny-salient-object images."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from wrg_onnx.calibrate import tiny_objects
from wrg_onnx.calibrate.tiny_objects import BACKGROUNDS, SHAPES, generate


def make(seed, height=96, width=96):
    return generate(np.random.default_rng(seed), height, width)


def test_the_same_seed_gives_the_same_bytes():
    def digest(seed):
        image, mask = make(seed)
        return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


@pytest.mark.parametrize(("height", "width"), [(96, 96), (224, 160), (16, 16), (33, 65), (320, 48)])
def test_images_and_masks_have_the_asked_size(height, width):
    image, mask = make(0, height, width)
    assert (image.shape, image.dtype) == ((height, width, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((height, width), np.uint8)
    assert image.flags.c_contiguous
    assert set(np.unique(mask)) == {0, 255}


def test_objects_cover_a_twentieth_of_a_percent_to_five_percent():
    shares = [np.mean(make(seed, 160, 160)[1] > 0) for seed in range(100)]
    assert min(shares) >= 0.0005
    assert max(shares) <= 0.05
    assert np.quantile(shares, 0.25) < 0.005 < np.quantile(shares, 0.75)


def contrasts(seeds):
    """Yield how far each object's mean colour is from that of a ring around it, of 255."""
    for seed in seeds:
        image, mask = make(seed, 160, 160)
        labels, count = ndimage.label(mask)
        for label in range(1, count + 1):
            near = ndimage.binary_dilation(labels == label, iterations=2)
            ring = ndimage.binary_dilation(near, iterations=4) & ~near & (mask == 0)
            inside = image[labels == label].mean(axis=0)
            yield np.abs(inside - image[ring].mean(axis=0)).max()


def test_objects_stand_out_from_what_is_around_them():
    found = np.array(list(contrasts(range(60))))
    assert np.mean(found > 30) > 0.95
    assert found.min() > 15


@pytest.mark.parametrize("name", sorted(BACKGROUNDS))
def test_every_background_is_a_picture(name):
    image = BACKGROUNDS[name](np.random.default_rng(0), 64, 80)
    assert (image.shape, image.dtype) == ((3, 64, 80), np.float32)
    assert -0.1 < image.min() < image.max() < 1.1


@pytest.mark.parametrize("name", sorted(SHAPES))
@pytest.mark.parametrize("pixels", [1, 3, 40, 400])
def test_every_shape_covers_its_area(name, pixels, monkeypatch):
    monkeypatch.setattr(tiny_objects, "SHAPES", {name: SHAPES[name]})
    for seed in range(5):
        gauge = tiny_objects._place(np.random.default_rng(seed), 80, 80)
        assert gauge.dtype == np.float32
        assert np.sum(tiny_objects._coverage(gauge, pixels, 1.0) >= 0.5) == pytest.approx(
            pixels, abs=1
        )


def test_infrared_is_gray(monkeypatch):
    monkeypatch.setattr(tiny_objects, "BACKGROUNDS", {"infrared": BACKGROUNDS["infrared"]})
    image, _ = make(0)
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])
