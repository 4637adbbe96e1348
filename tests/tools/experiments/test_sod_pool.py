import numpy as np
import pytest
import torch
from PIL import Image

from sod.pool import HELD_OUT, TRAINING, draw_batch, make_pool, read_pool
from wrg_onnx.data.preprocess import to_feed
from wrg_onnx.errors import DataError


def write_pairs(folder, count=3, *, side=40, level=255):
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        image = rng.integers(0, 256, (side, side, 3), np.uint8)
        mask = np.zeros((side, side), np.uint8)
        mask[10:20, 6 + 2 * index : 14] = level
        Image.fromarray(image).save(folder / "images" / f"{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    return folder


def test_made_images_are_those_of_their_seed_and_stream():
    first, again, other = (
        make_pool(3, 32, seed=0, stream=stream) for stream in (TRAINING, TRAINING, HELD_OUT)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.images.shape == (3, 3, 32, 32)
    assert first.masks.shape == (3, 1, 32, 32)
    assert first.masks.any(dim=(1, 2, 3)).all()


def test_a_pool_feeds_what_the_package_feeds():
    pool = make_pool(2, 32, seed=0, stream=TRAINING)
    image = pool.images[1].permute(1, 2, 0).contiguous().numpy()
    assert np.array_equal(pool.feed(pool.images[1:]).numpy(), to_feed(image, pool.preprocessing))


def test_folders_are_joined_and_brought_to_one_size(tmp_path):
    folders = [write_pairs(tmp_path / "a", 3), write_pairs(tmp_path / "b", 2, side=60)]
    pool = read_pool(folders, 20)
    assert pool.images.shape == (5, 3, 20, 20)
    assert pool.images.dtype == torch.uint8
    assert pool.masks.dtype == torch.bool
    assert pool.have_an_up
    # Rows 10 to 19 and columns 6 to 13 of 40 are 5 to 9 and 3 to 6 of 20.
    expected = torch.zeros(20, 20, dtype=torch.bool)
    expected[5:10, 3:7] = True
    assert torch.equal(pool.masks[0, 0], expected)


def test_a_mask_that_is_not_binary_counts_from_half_up(tmp_path):
    folder = write_pairs(tmp_path / "a", 1)
    levels = np.zeros((40, 40), np.uint8)
    levels[:, :10], levels[:, 10:20] = 127, 128
    Image.fromarray(levels).save(folder / "masks" / "0.png")
    mask = read_pool([folder], 40).masks[0, 0]
    assert not mask[:, :10].any()
    assert mask[:, 10:20].all()


def test_folders_that_do_not_hold_pairs_are_refused(tmp_path):
    (tmp_path / "empty" / "images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no images .* in '.*empty"):
        read_pool([tmp_path / "empty"], 32)
    bare = write_pairs(tmp_path / "bare")
    for mask in (bare / "masks").iterdir():
        mask.unlink()
    with pytest.raises(DataError, match="without masks"):
        read_pool([bare], 32)
    other = write_pairs(tmp_path / "other")
    Image.new("L", (30, 40)).save(other / "masks" / "1.png")
    with pytest.raises(DataError, match=r"1\.png' is 30x40 pixels, its image is 40x40"):
        read_pool([other], 32)
    faint = write_pairs(tmp_path / "faint", level=90)
    with pytest.raises(DataError, match="brightest pixel is 90"):
        read_pool([faint], 32)


@pytest.mark.parametrize("is_photograph", [False, True])
def test_a_batch_is_decided_by_its_generator(tmp_path, is_photograph):
    made = make_pool(6, 32, seed=0, stream=TRAINING)
    pool = read_pool([write_pairs(tmp_path)], 32) if is_photograph else made
    first, again, other = (draw_batch(pool, np.random.default_rng(seed), 4) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (4, 3, 32, 32)
    assert first[0].dtype == first[1].dtype == torch.float32
    assert set(first[1].unique().tolist()) == {0.0, 1.0}


def test_made_images_are_turned_with_their_masks():
    pool = make_pool(1, 32, seed=0, stream=TRAINING)
    images, masks = draw_batch(pool, np.random.default_rng(0), 32)
    poses = {
        (image.numpy().tobytes(), mask.numpy().tobytes())
        for image, mask in zip(images, masks, strict=True)
    }
    assert len(poses) == len({pose[0] for pose in poses}) == 8
    # Whatever the pose, the mask lies on the same pixels.
    inside = [float((image * mask).sum()) for image, mask in zip(images, masks, strict=True)]
    assert np.ptp(inside) < 1e-2 * abs(inside[0])


def test_one_broken_picture_of_many_is_left_out_and_named(tmp_path):
    folder = write_pairs(tmp_path / "pairs", 4)
    (folder / "images" / "2.png").write_bytes(b"no picture")
    pool = read_pool([folder], 32)
    assert pool.names == ("0.png", "1.png", "3.png")
    assert pool.content == f"3 of 4 images with masks from {folder}"
    (remark,) = pool.remarks
    assert "left out: cannot read" in remark
    assert "2.png" in remark
    (folder / "masks" / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"2 of 4 images with masks from .* are broken"):
        read_pool([folder], 32)


def test_masks_without_an_object_are_counted(tmp_path):
    folder = write_pairs(tmp_path / "pairs", 3)
    assert read_pool([folder], 40).remarks == ()
    Image.new("L", (40, 40)).save(folder / "masks" / "1.png")
    assert read_pool([folder], 40).remarks == (
        f"1 of 3 masks from {folder} show no object at 40x40 pixels",
    )


def test_a_pool_of_some_keeps_their_names():
    pool = make_pool(4, 32, seed=0, stream=TRAINING)
    assert pool.take([3, 1]).names == ("generated 3", "generated 1")
    assert pool.names == tuple(f"generated {index}" for index in range(4))
