"""Data sets: folders, archives, generated and random samples, and what is wrong with them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from wrg_onnx.data.dataset import from_directory, generated, random_inputs, split
from wrg_onnx.data.preprocess import default_preprocessing, to_feed
from wrg_onnx.errors import DataError, UnreadableError, UsageError
from wrg_onnx.graph.load import from_proto
from wrg_onnx.graph.model import Value

REAL = Path(__file__).parents[3] / "shared" / "data" / "saliency"
INPUTS = [Value("x", np.dtype(np.float32), ("batch", 3, 32, 48))]
PREPROCESSING = default_preprocessing(INPUTS)
TENSORS = [
    Value("x:0", np.dtype(np.float32), ("batch", 4)),
    Value("state", np.dtype(np.int64), (2, None)),
    Value("flag", np.dtype(np.bool_), ()),
]


def draw(path, *, size=(60, 40), mode="RGB", seed=0):
    path.parent.mkdir(exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels if mode == "RGB" else (pixels > 127) * np.uint8(255)).save(path)
    return pixels


@pytest.fixture
def pairs(tmp_path):
    for name in ("b", "a", "c"):
        draw(tmp_path / "images" / f"{name}.jpg")
        draw(tmp_path / "masks" / f"{name}.png", mode="L")
    return tmp_path


def from_images(path):
    return from_directory(path, INPUTS, PREPROCESSING)


def test_images_and_masks_are_paired_by_name(pairs):
    data = from_images(pairs)
    assert (len(data), data.has_masks) == (3, True)
    assert data.description == f"3 images with masks from {pairs}"
    assert [sample.name for sample in data] == ["a.jpg", "b.jpg", "c.jpg"]
    for sample in data:
        assert (sample.feeds["x"].shape, sample.feeds["x"].dtype) == ((1, 3, 32, 48), np.float32)
        assert (sample.mask.shape, sample.mask.dtype) == ((32, 48), np.bool_)
        assert not sample.feeds["x"].flags.writeable
        assert not sample.mask.flags.writeable


def test_images_need_no_masks_and_no_folder(tmp_path):
    pixels = draw(tmp_path / "a.PNG")
    draw(tmp_path / "._a.png")
    data = from_images(tmp_path)
    assert (len(data), data.has_masks) == (1, False)
    assert data.description == f"1 images from {tmp_path}"
    assert data[0].mask is None
    np.testing.assert_array_equal(data[0].feeds["x"], to_feed(pixels, PREPROCESSING))


def test_taken_samples_keep_the_order_asked_for(pairs):
    data = from_images(pairs).take([2, 0])
    assert [sample.name for sample in data] == ["c.jpg", "a.jpg"]
    assert data.description == f"2 of 3 images with masks from {pairs}"


def test_kept_samples_are_read_once_as_long_as_there_is_room(pairs):
    data = from_images(pairs)
    size = data[0].feeds["x"].nbytes + data[0].mask.nbytes
    kept = data.kept(2 * size)
    first = [kept[index] for index in range(3)]
    assert [kept[index] is one for index, one in enumerate(first)] == [True, True, False]
    assert kept.description == data.description
    for one, other in zip(kept, data, strict=True):
        np.testing.assert_array_equal(one.feeds["x"], other.feeds["x"])


def test_kept_samples_stay_behind_when_another_process_gets_the_data(pairs):
    kept = from_images(pairs).kept(1 << 20)
    before = len(pickle.dumps(kept))
    first = kept[0]
    assert len(pickle.dumps(kept)) == before
    other = pickle.loads(pickle.dumps(kept))  # noqa: S301 - what was written a line above
    np.testing.assert_array_equal(other[0].feeds["x"], first.feeds["x"])


def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path):
    picture = Image.new("P", (40, 40))
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert from_images(tmp_path)[0].feeds["x"].shape == (1, 3, 32, 48)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "masks/b.png").unlink(), r"1 of 3 images have no mask in .*masks': 'b'"),
        (lambda d: (d / "images/c.jpg").unlink(), r"1 of 3 masks have no image for .*: 'c'"),
        (
            lambda d: draw(d / "masks/a.png", size=(60, 41), mode="L"),
            r"mask '.*a\.png' is 60x41 pixels, its image is 60x40",
        ),
    ],
)
def test_pairs_that_do_not_match_are_found_before_any_is_read(pairs, spoil, message):
    spoil(pairs)
    with pytest.raises(DataError, match=message):
        from_images(pairs)


def test_only_the_first_names_are_shown(pairs):
    for name in "defgh":
        draw(pairs / "images" / f"{name}.png")
    with pytest.raises(DataError, match=r"5 of 8 images .*: 'd', 'e', 'f', \.\.\.$"):
        from_images(pairs)


def test_a_folder_without_use_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no data directory at"):
        from_images(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"no images \(png, .*\) in .* and no \.npz files in"):
        from_images(tmp_path)


def test_images_cannot_feed_a_model_of_other_inputs(pairs):
    with pytest.raises(DataError, match=r"give \.npz files with arrays 'x:0', 'state', 'flag'"):
        from_directory(pairs, TENSORS, None)


def test_a_truncated_image_is_an_error_when_it_is_read(tmp_path):
    draw(tmp_path / "a.png", size=(200, 200))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.jpg").write_bytes(b"not a picture")
    data = from_images(tmp_path)
    for index, name in enumerate(("a.png", "b.jpg")):
        with pytest.raises(DataError, match=f"cannot read '.*{name}'"):
            data[index]


def test_one_broken_image_is_named_and_left_out(pairs):
    (pairs / "images/b.jpg").write_bytes(b"hello")
    sound, broken = from_images(pairs).without_broken()
    assert [sample.name for sample in sound] == ["a.jpg", "c.jpg"]
    assert sound.description == f"2 of 3 images with masks from {pairs}"
    assert len(broken) == 1
    assert "cannot read" in broken[0]
    assert "b.jpg" in broken[0]


def test_a_broken_mask_leaves_its_image_out(pairs):
    (pairs / "masks/a.png").write_bytes(b"hello")
    sound, broken = from_images(pairs).without_broken()
    assert [sample.name for sample in sound] == ["b.jpg", "c.jpg"]
    assert "masks" in broken[0]


@pytest.mark.parametrize(
    ("count", "broken", "passes"), [(40, 2, True), (40, 3, False), (3, 2, False), (1, 1, False)]
)
def test_many_broken_images_are_an_error(tmp_path, count, broken, passes):
    for number in range(count):
        draw(tmp_path / f"{number:02d}.png")
    for number in range(broken):
        (tmp_path / f"{number:02d}.png").write_bytes(b"hello")
    data = from_images(tmp_path)
    if passes:
        assert len(data.without_broken()[0]) == count - broken
        return
    with pytest.raises(UnreadableError, match=rf"{broken} of {count} images .*00\.png"):
        data.without_broken()


def test_what_can_be_read_and_does_not_fit_is_an_error_all_the_same(pairs):
    draw(pairs / "masks/a.png", mode="L").fill(0)
    Image.fromarray(np.full((40, 60), 5, np.uint8)).save(pairs / "masks/a.png")
    with pytest.raises(DataError, match="is empty"):
        from_images(pairs).without_broken()


@pytest.mark.parametrize("limit", [500, 1500])  # twice the limit is an error, once a warning
def test_a_decompression_bomb_is_an_error(tmp_path, monkeypatch, limit):
    draw(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"cannot read '.*a\.png': Image size"):
        from_images(tmp_path)[0]


def test_sixteen_bits_are_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((40, 40), 900, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="mode 'I;16': convert it to 8 bits"):
        from_images(tmp_path)[0]


def test_a_mask_of_zeros_and_ones_is_refused_and_an_empty_one_is_not(pairs):
    Image.fromarray(np.eye(40, 60, dtype=np.uint8)).save(pairs / "masks" / "a.png")
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(pairs / "masks" / "b.png")
    data = from_images(pairs)
    with pytest.raises(DataError, match=r"a\.png' is empty: its brightest pixel is 1"):
        data[0]
    assert not data[1].mask.any()


def save(path, **changes):
    arrays = {"x:0": np.ones((3, 4), np.float32), "state": np.zeros((2, 9), np.int64)}
    arrays |= {"flag": np.array(True), "more": np.ones(1)} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def test_archives_feed_any_model(tmp_path):
    save(tmp_path / "a.npz")
    data = from_directory(tmp_path, TENSORS, None)
    assert data.description == f"1 .npz files from {tmp_path}"
    assert {name: array.shape for name, array in data[0].feeds.items()} == {
        "x:0": (3, 4),
        "state": (2, 9),
        "flag": (),
    }
    assert data[0].mask is None


def test_archives_feed_an_image_model_where_there_are_no_images(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 3, 32, 48), np.float32))
    assert from_images(tmp_path)[0].feeds["x"].shape == (1, 3, 32, 48)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x:0": None}, r"lacks the input 'x:0': it holds 'flag', 'more', 'state'"),
        ({"x:0": np.ones((3, 5), np.float32)}, r"'x:0' must be float32 of \['batch', 4\], got"),
        ({"x:0": np.ones(4, np.float32)}, r"got float32 of \[4\]"),
        ({"state": np.zeros((2, 9), np.int32)}, r"must be int64 of \[2, None\], got int32"),
        ({"flag": np.array({}, dtype=object)}, r"cannot read .*a\.npz'.*allow_pickle"),
    ],
)
def test_an_archive_that_does_not_fit_is_an_error(tmp_path, changes, message):
    save(tmp_path / "a.npz", **changes)
    with pytest.raises(DataError, match=message):
        from_directory(tmp_path, TENSORS, None)[0]


def test_a_broken_archive_is_an_error(tmp_path):
    save(tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (b"", b"hello", whole[:-30], whole[:80] + b"?" + whole[81:]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot read '.*a\.npz'"):
            from_directory(tmp_path, TENSORS, None)[0]
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "a.npy").replace(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"not an \.npz archive"):
        from_directory(tmp_path, TENSORS, None)[0]


def test_generated_samples_do_not_depend_on_the_order_of_reading():
    data, again = generated(PREPROCESSING, 5, seed=1), generated(PREPROCESSING, 5, seed=1)
    assert (len(data), data.has_masks) == (5, True)
    assert data.description == "5 generated images of tiny objects with masks"
    backwards = [again[index] for index in (4, 3, 2, 1, 0)][::-1]
    for one, other in zip(data, backwards, strict=True):
        np.testing.assert_array_equal(one.feeds["x"], other.feeds["x"])
        np.testing.assert_array_equal(one.mask, other.mask)
        assert one.mask.any()
    other_seed = generated(PREPROCESSING, 5, seed=2)
    assert not np.array_equal(data[0].feeds["x"], other_seed[0].feeds["x"])


def tensors(text):
    return from_proto(
        onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {text}'), name="g"
    )


def test_random_inputs_follow_types_and_shapes():
    graph = tensors(
        """(float[batch,4] x, int64[2,n] state, bool flag)
        => (float[batch,4] y, int64[2,n] s, bool f)
        { y = Relu(x)  s = Identity(state)  f = Identity(flag) }"""
    )
    shapes = {"x": (7, 4), "state": (2, 16), "flag": ()}
    data = random_inputs(graph, shapes, 4, seed=0)
    assert (len(data), data.has_masks, data.description) == (4, False, "4 seeded random inputs")
    for sample in data:
        x, state, flag = (sample.feeds[name] for name in shapes)
        assert (x.shape, x.dtype) == ((7, 4), np.float32)
        assert (state.shape, state.dtype) == ((2, 16), np.int64)
        assert 0 <= state.min() <= state.max() < 50
        assert (flag.shape, flag.dtype) == ((), np.bool_)
    assert not np.array_equal(data[0].feeds["x"], data[1].feeds["x"])
    again = random_inputs(graph, shapes, 4, seed=0)
    np.testing.assert_array_equal(data[3].feeds["x"], again[3].feeds["x"])


def test_random_indices_stay_inside_the_table_they_index():
    graph = tensors(
        """(int64[1,40] token) => (float[1,40,2] y)
        <float[3,2] table = {1,2,3,4,5,6}> { y = Gather(table, token) }"""
    )
    token = random_inputs(graph, {"token": (1, 40)}, 1, seed=0)[0].feeds["token"]
    assert set(np.unique(token)) == {0, 1, 2}


def test_inputs_that_cannot_be_made_up_are_errors():
    graph = tensors("(string[2] x) => (string[2] y) { y = Identity(x) }")
    with pytest.raises(DataError, match="'x' is of"):
        random_inputs(graph, {"x": (2,)}, 1, seed=0)


@pytest.mark.parametrize("count", [2, 3, 10, 199])
def test_calibration_and_validation_never_overlap(count):
    calibration, validation = split(count, 0.25, seed=3)
    assert sorted([*calibration, *validation]) == list(range(count))
    assert len(validation) == max(1, round(count * 0.25))
    np.testing.assert_array_equal(validation, split(count, 0.25, seed=3)[1])


def test_a_single_sample_is_for_calibration():
    assert [len(part) for part in split(1)] == [1, 0]
    assert [len(part) for part in split(0)] == [0, 0]
    assert [len(part) for part in split(2, 0.99)] == [1, 1]
    with pytest.raises(UsageError, match=r"in \(0, 1\), got 1"):
        split(10, 1.0)


@pytest.mark.parametrize(
    ("name", "count"),
    [("SOD300", 199), ("DAVIS2016-val", 237), ("MT-Defect", 291), ("SIRST-V2", 386)],
)
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is absent")
def test_real_folders_are_read_whole(name, count):
    data = from_images(REAL / name)
    assert (len(data), data.has_masks) == (count, True)
    samples = list(data.take(range(0, count, 20)))
    assert all(sample.mask.any() for sample in samples)
