"""Data sources of others: what they may give, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from registries import own_copies

from wrg_onnx.data.address import DataAddress
from wrg_onnx.data.preprocess import default_preprocessing
from wrg_onnx.data.sources import from_source, refuse_unknown
from wrg_onnx.errors import DataError, UnreadableError
from wrg_onnx.extend import Arrays, Picture, data_source
from wrg_onnx.graph.model import Value

IMAGE = Value("image", np.dtype(np.float32), (1, 3, 32, 32))
VECTOR = Value("x", np.dtype(np.float32), (1, 4))
COLOUR = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
MASK = np.zeros((40, 50), bool)
MASK[10:20, 10:20] = True


@pytest.fixture
def opened(monkeypatch):
    """Open a source that gives these samples; an exception is raised instead."""
    own_copies(monkeypatch)

    def reader(one):
        if isinstance(one, Exception):
            raise one
        return one

    def give(*samples, inputs=(IMAGE,)):
        data_source("mine")(lambda _: [lambda one=one: reader(one) for one in samples])
        return from_source(DataAddress("mine", "x"), inputs, default_preprocessing(inputs))

    return give


def test_pictures_are_fed_as_images_of_a_folder_are(opened, tmp_path):
    from PIL import Image

    from wrg_onnx.data.dataset import from_directory

    for kind, array in (("images", COLOUR), ("masks", MASK.astype(np.uint8) * 255)):
        (tmp_path / kind).mkdir()
        Image.fromarray(array).save(tmp_path / kind / "one.png")
    expected = from_directory(tmp_path, [IMAGE], default_preprocessing([IMAGE]))[0]
    data = opened(Picture("one", COLOUR, MASK))
    np.testing.assert_array_equal(data[0].feeds["image"], expected.feeds["image"])
    np.testing.assert_array_equal(data[0].mask, expected.mask)
    assert (len(data), data.has_masks, data.are_images) == (1, True, True)
    assert data.description.startswith("1 images with masks from mine:x (the module '")


def test_a_gray_image_has_three_equal_colours(opened):
    gray = np.ascontiguousarray(COLOUR[..., 0])
    data = opened(Picture("gray", gray), Picture("same", np.repeat(gray[..., None], 3, axis=2)))
    np.testing.assert_array_equal(data[0].feeds["image"], data[1].feeds["image"])
    assert not data.has_masks


def test_arrays_are_fed_as_they_are_and_stay_the_sources_own(opened):
    array = np.arange(4, dtype=np.float32).reshape(1, 4)
    data = opened(Arrays("one", {"x": array, "more": np.zeros(3)}), inputs=(VECTOR,))
    np.testing.assert_array_equal(data[0].feeds["x"], array)
    assert (set(data[0].feeds), data.are_images) == ({"x"}, False)
    array[0, 0] = 7
    assert data[0].feeds["x"][0, 0] == 7


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (Picture("p", COLOUR.astype(float)), "uint8 of .* got float64 of"),
        (Picture("p", COLOUR[..., :2]), r"got uint8 of \[40, 50, 2\]"),
        (Picture("p", COLOUR[:0]), r"got uint8 of \[0, 50, 3\]"),
        (Picture("p", COLOUR, MASK[1:]), r"mask must be bool or uint8 of \[40, 50\]"),
        (Picture("p", COLOUR, MASK.astype(float)), "got float64 of"),
        (Picture("p", COLOUR, MASK.astype(np.uint8)), "its mask is empty: its brightest"),
        ("p", "must give a Picture or Arrays, got str"),
        (Arrays("a", {"y": COLOUR}), "lacks the input 'image': it holds 'y'"),
        (Arrays("a", {"image": COLOUR}), "input 'image' must be float32 of"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_sources_name(opened, sample, message):
    with pytest.raises(DataError, match=f"data source 'mine:x'.*{message}"):
        opened(sample)[0]


def test_a_picture_for_a_model_that_takes_none_is_refused(opened):
    with pytest.raises(DataError, match="does not take an image alone: give Arrays with 'x'"):
        opened(Picture("p", COLOUR), inputs=(VECTOR,))[0]


def test_all_samples_have_a_mask_or_none_has(opened):
    data = opened(Picture("one", COLOUR, MASK), Picture("two", COLOUR))
    with pytest.raises(DataError, match="'two' has no mask, and the first sample has one: all"):
        data[1]


def test_a_sample_that_cannot_be_read_is_left_out_and_named(opened):
    good = [Picture(str(number), COLOUR) for number in range(25)]
    data, broken = opened(OSError("gone"), *good).without_broken()
    assert len(data) == 25
    assert broken == ("data source 'mine:x' cannot read a sample: OSError: gone",)


def test_a_source_none_of_whose_samples_can_be_read_is_refused(opened):
    with pytest.raises(UnreadableError, match="cannot read a sample: ValueError: no"):
        opened(*[ValueError("no")] * 9)


def test_a_source_without_samples_is_refused(opened):
    with pytest.raises(DataError, match="data source 'mine' has no samples at 'x'"):
        opened()


@pytest.mark.usefixtures("opened")
def test_a_source_that_fails_is_told_with_what_it_was_asked_for():
    data_source("mine")(lambda where: [Path(where).read_bytes])
    with pytest.raises(UnreadableError, match="cannot read a sample: FileNotFoundError"):
        from_source(DataAddress("mine", "x"), [IMAGE], None)
    data_source("other")(lambda where: Path(where).read_bytes())
    with pytest.raises(DataError, match=r"'other' of the module .* fails on 'x': FileNotFound"):
        from_source(DataAddress("other", "x"), [IMAGE], None)


@pytest.mark.usefixtures("opened")
def test_a_path_like_the_address_of_a_source_is_answered_with_those_that_there_are(tmp_path):
    data_source("mine")(lambda _: [])
    with pytest.raises(
        DataError,
        match=r"no data directory at 'mene:x', and no data source 'mene' "
        r"\(did you mean 'mine'\?\): there are 'mine'",
    ):
        refuse_unknown(Path("mene:x"))
    assert refuse_unknown(tmp_path / "gone") is None  # the loader of folders has more to say
