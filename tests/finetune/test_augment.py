"""Images and masks change together, by the generator alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from wrg_onnx.data.preprocess import Preprocessing  # noqa: E402
from wrg_onnx.finetune.feeding import augment  # noqa: E402
from wrg_onnx.twin.batches import Batch  # noqa: E402

MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)
NCHW = Preprocessing(
    "x", 32, 48, 3, "NCHW", np.dtype(np.float32), 1 / 255, MEAN, STD, "rgb"
)  # fmt: skip
NHWC = replace(NCHW, layout="NHWC")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(count=6):
    """Objects that are white on black, as a batch of NCHW, and their masks."""
    mask = torch.zeros(count, 1, 32, 48)
    for n in range(count):
        mask[n, :, 6 + n : 20 + n, 10:30] = 1
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    return Batch({"x": (mask.expand(-1, 3, -1, -1) - mean) / std}, mask, count)


def pixels(batch):
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    return (batch.feeds["x"] * std + mean) * 255


def test_the_mask_has_the_geometry_of_the_image():
    done = augment(picture(), NCHW, generator())
    bright = pixels(done).mean(dim=1, keepdim=True)
    # The object stays brighter than the rest, whatever became of the colours.
    threshold = (bright.amax(dim=(2, 3), keepdim=True) + bright.amin(dim=(2, 3), keepdim=True)) / 2
    differ = ((bright >= threshold).float() != done.mask).float().mean()
    assert differ < 0.01
    assert not torch.equal(done.mask, picture().mask)
    assert set(done.mask.unique().tolist()) == {0.0, 1.0}


def test_pixels_stay_in_their_range():
    values = pixels(augment(picture(), NCHW, generator()))
    assert values.min() >= -1e-3
    assert values.max() <= 255 + 1e-3


def test_the_same_generator_gives_the_same_batch():
    one, other = (augment(picture(), NCHW, generator(3)) for _ in range(2))
    assert torch.equal(one.feeds["x"], other.feeds["x"])
    assert torch.equal(one.mask, other.mask)
    assert not torch.equal(one.mask, augment(picture(), NCHW, generator(4)).mask)


def test_channels_last_change_as_channels_first_do():
    first = augment(picture(), NCHW, generator())
    batch = picture()
    last = augment(replace(batch, feeds={"x": batch.feeds["x"].movedim(1, 3)}), NHWC, generator())
    assert last.feeds["x"].shape == (6, 32, 48, 3)
    assert torch.equal(last.feeds["x"].movedim(3, 1), first.feeds["x"])


def test_a_batch_changes_as_its_images_do_one_by_one():
    whole = augment(picture(2), NCHW, generator())
    one_by_one = generator()
    parts = [augment(part, NCHW, one_by_one) for part in picture(2).split(1)]
    torch.testing.assert_close(torch.cat([p.feeds["x"] for p in parts]), whole.feeds["x"])


def test_a_crop_keeps_six_tenths_of_the_area_at_least():
    stripes = torch.linspace(0, 1, 48).expand(200, 1, 32, 48)
    batch = Batch({"x": torch.zeros(200, 3, 32, 48)}, None, 200)
    image = replace(NCHW, mean=(0.0,) * 3, std=(1.0,) * 3)
    ramp = replace(batch, feeds={"x": stripes.expand(-1, 3, -1, -1) * 0.5})
    seen = augment(ramp, image, generator()).feeds["x"]
    flipped = (seen[:, 0, 16, 40] < seen[:, 0, 16, 8]).float().mean()
    assert 0.4 < flipped < 0.6
    widths = (seen[:, 0, 16, 40] - seen[:, 0, 16, 8]).abs() / (0.5 * 32 / 47)
    assert widths.max() < 1.45  # contrast and brightness 1.2 each
    assert widths.min() > 0.6**0.5 / 1.1 * 0.8 * 0.8 - 0.01


def test_an_image_without_a_mask_is_changed_too():
    batch = replace(picture(), mask=None)
    done = augment(batch, NCHW, generator())
    assert done.mask is None
    assert torch.equal(done.feeds["x"], augment(picture(), NCHW, generator()).feeds["x"])


def test_float16_stays_float16():
    batch = picture()
    half = replace(batch, feeds={"x": batch.feeds["x"].half()})
    assert augment(half, NCHW, generator()).feeds["x"].dtype == torch.float16
