"""The generator of tiny-salient-object images."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from wrg_onnx.tsod import scenes, shapes
from wrg_onnx.tsod.backgrounds import BACKGROUNDS
from wrg_onnx.tsod.distractors import DISTRACTORS
from wrg_onnx.tsod.scenes import draw_scene, generate
from wrg_onnx.tsod.shapes import SHAPES


def make(seed, height=96, width=96):
    return generate(np.random.default_rng(seed), height, width)


def test_the_same_seed_gives_the_same_bytes():
    def digest(seed):
        image, mask = make(seed)
        return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


DIGEST = """
import hashlib, numpy as np
from wrg_onnx.tsod import draw_scene
drawn = hashlib.sha256()
for seed in range(40):
    drawn.update(draw_scene(np.random.default_rng(seed), 97, 130).image.tobytes())
print(drawn.hexdigest())
"""


def test_older_processors_draw_the_same_bytes():
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("NumPy uses no instructions here that can be switched off")
    switches = {"NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    here, there = (
        subprocess.run(
            [sys.executable, "-W", "error", "-c", DIGEST], env={**os.environ, **environment},
            capture_output=True, text=True, check=True,
        ).stdout
        for environment in ({}, switches)
    )  # fmt: skip
    assert here == there


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
    monkeypatch.setattr(shapes, "SHAPES", {name: SHAPES[name]})
    for seed in range(5):
        gauge = shapes.place(np.random.default_rng(seed), 80, 80)
        assert gauge.dtype == np.float32
        assert np.sum(shapes.coverage(gauge, pixels, 1.0) >= 0.5) == pytest.approx(pixels, abs=1)


def test_infrared_is_gray():
    image = draw_scene(np.random.default_rng(0), 96, 96, ["infrared"]).image
    np.testing.assert_array_equal(image[..., 0], image[..., 1])
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


@pytest.mark.parametrize("name", sorted(BACKGROUNDS))
def test_a_background_can_be_asked_for(name):
    scenes_drawn = [draw_scene(np.random.default_rng(s), 32, 32, [name]) for s in range(3)]
    assert {scene.background for scene in scenes_drawn} == {name}


@pytest.mark.parametrize("name", sorted(BACKGROUNDS))
@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 200), (200, 16), (17, 31)])
def test_every_background_is_drawn_at_any_size(name, height, width):
    for seed in range(8):
        image = BACKGROUNDS[name](np.random.default_rng(seed), height, width)
        assert (image.shape, image.dtype) == ((3, height, width), np.float32)
        assert np.isfinite(image).all()


@pytest.mark.parametrize("name", sorted(DISTRACTORS))
def test_distractors_are_seen_but_far_fainter_than_objects(name):
    changes = []
    for seed in range(30):
        image = np.full((3, 96, 120), 0.5, np.float32)
        DISTRACTORS[name](np.random.default_rng(seed), image)
        assert image.dtype == np.float32
        changes.append(np.abs(image - 0.5).max())
    assert max(changes) < 0.12  # an object differs by 0.28 or more
    assert np.median(changes) > 0.008


@pytest.mark.parametrize("side", [16, 17, 24, 40, 64])
def test_small_images_keep_to_the_shares_too(side):
    least, most = max(0.0005 * side * side, 1), 0.05 * side * side
    for seed in range(300):
        assert least <= np.count_nonzero(make(seed, side, side)[1]) <= most


@pytest.mark.parametrize(("height", "width"), [(16, 700), (700, 16), (600, 800)])
def test_odd_and_large_images_keep_to_the_shares_too(height, width):
    for seed in range(20):
        assert 0.0005 <= np.mean(make(seed, height, width)[1] > 0) <= 0.05


def test_objects_lie_apart_and_are_counted():
    counts = []
    for seed in range(80):
        scene = draw_scene(np.random.default_rng(seed), 160, 160)
        counts.append(scene.objects)
        # Thin wings may fall into pieces of a pixel; what is near each other is one object.
        near = ndimage.binary_dilation(scene.mask > 0, np.ones((3, 3)))
        assert ndimage.label(near, np.ones((3, 3)))[1] >= scene.objects
        assert scene.area_fraction == np.mean(scene.mask > 0)
    assert {1, 2, 3} == set(counts)
    assert counts.count(1) > counts.count(2) > counts.count(3)


def test_what_is_taken_is_not_taken_again():
    taken = np.ones((32, 32), np.bool_)
    assert scenes._place_apart(np.random.default_rng(0), taken, 5) is None
    taken[:] = False
    taken[:16] = True
    covered = scenes._place_apart(np.random.default_rng(0), taken, 5)
    assert not (covered[:18] > 0).any()
    assert np.sum(covered >= 0.5) == 5


@pytest.mark.parametrize("reach", [1, 2, 3, 4, 7, 12])
def test_a_widened_mask_reaches_as_far_on_all_sides(reach):
    mask = np.zeros((40, 50), np.bool_)
    mask[[3, 20, 39], [10, 25, 0]] = True
    expected = ndimage.binary_dilation(mask, np.ones((2 * reach + 1, 2 * reach + 1)))
    np.testing.assert_array_equal(scenes._widened(mask, reach), expected)


@pytest.mark.parametrize("side", [16, 32, 64])
def test_objects_of_few_pixels_stand_out_from_noise(side):
    """An object differs from what is around it by more than that spreads."""
    found = []
    for seed in range(60):
        image, mask = make(seed, side, side)
        wide = ndimage.binary_dilation(mask > 0)
        labels, count = ndimage.label(wide)
        for label in range(1, count + 1):
            inside = image[(labels == label) & (mask > 0)].mean(axis=0)
            near = ndimage.binary_dilation(labels == label, iterations=3) & ~wide
            around = image[near].astype(float)
            spread = around.std(axis=0).mean() + 1
            found.append(np.abs(inside - around.mean(axis=0)).max() / spread)
    assert np.mean(np.array(found) > 2) > 0.95
    assert np.median(found) > 4
