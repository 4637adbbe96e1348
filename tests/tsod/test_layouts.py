"""Where data sets keep their images and masks."""

from __future__ import annotations

import pytest

from wrg_onnx.errors import DataError
from wrg_onnx.tsod.layouts import find_sets


def shown(root, **options):
    return [(s.name, s.images.name, s.masks.name, len(s.pairs)) for s in find_sets(root, **options)]


@pytest.mark.parametrize(
    ("folder", "images", "masks"),
    [
        ("plain", "images", "masks"),
        ("ECSSD", "images", "ground_truth_mask"),
        ("HKU-IS", "imgs", "gt"),
        ("DUTS-TR", "DUTS-TR-Image", "DUTS-TR-Mask"),
        ("DUTS-TE", "DUTS-TE-Image", "DUTS-TE-Mask"),
        ("DUT-OMRON", "DUT-OMRON-image", "pixelwiseGT-new-PNG"),
        ("SOD", "Images", "GT"),
    ],
)
def test_a_data_set_is_known_by_its_folders(make_data, folder, images, masks):
    root = make_data(folder, images, masks)
    assert shown(root) == [(folder, images, masks, 5)]


def test_several_data_sets_are_named_by_their_folders(make_data, tmp_path):
    make_data("all/ECSSD", "images", "ground_truth_mask")
    make_data("all/DUTS/DUTS-TE", "DUTS-TE-Image", "DUTS-TE-Mask", (1, 2))
    make_data("all/DUTS", "DUTS-TR-Image", "DUTS-TR-Mask", (1, 2, 3))
    make_data("all/a/b/c", "images", "masks", (1,))
    assert shown(tmp_path / "all") == [
        ("DUTS/DUTS-TR", "DUTS-TR-Image", "DUTS-TR-Mask", 3),
        ("DUTS/DUTS-TE", "DUTS-TE-Image", "DUTS-TE-Mask", 2),
        ("ECSSD", "images", "ground_truth_mask", 5),
        ("a/b/c", "images", "masks", 1),
    ]


def test_the_output_and_hidden_folders_are_passed_over(make_data, tmp_path):
    make_data("all/one")
    make_data("all/.cache")
    out = make_data("all/one-tiny")
    assert [name for name, *_ in shown(tmp_path / "all", skip=out)] == ["one"]


def test_links_are_followed_once(make_data, tmp_path):
    real = make_data("real")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "a").symlink_to(real)
    (tmp_path / "all" / "b").symlink_to(real)
    (tmp_path / "all" / "loop").symlink_to(tmp_path / "all")
    assert [name for name, *_ in shown(tmp_path / "all")] == ["a"]


def test_images_and_masks_without_each_other_are_named(make_data):
    root = make_data()
    (root / "masks" / "n0.png").unlink()
    (root / "images" / "n1.jpg").unlink()
    (found,) = find_sets(root)
    assert [pair.name for pair in found.pairs] == ["n2", "n3", "n4"]
    assert (found.without_mask, found.without_image) == (("n0",), ("n1",))


@pytest.mark.parametrize("folder", ["", "images", "other/masks"])
def test_what_holds_no_data_set_is_told(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    with pytest.raises(DataError, match=r"no data set in '.*': expected folders such as images"):
        find_sets(tmp_path)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(DataError, match=r"no folder at '.*gone'"):
        find_sets(tmp_path / "gone")


def test_an_empty_data_set_is_told(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    with pytest.raises(
        DataError, match=r"no image in '.*' has a mask of its name.*: 0 images, 0 m"
    ):
        find_sets(tmp_path)


def test_two_files_of_one_name_are_refused(make_data):
    root = make_data()
    (root / "images" / "n0.png").write_bytes((root / "masks" / "n0.png").read_bytes())
    with pytest.raises(DataError, match=r"n0.jpg' and 'n0.png' share a name"):
        find_sets(root)
