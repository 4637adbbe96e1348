"""A subset with small objects: what is kept, what is copied, what is refused."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wrg_onnx.errors import DataError, OutputError, UsageError
from wrg_onnx.tsod import FilterOptions, filter_sets

SHARED = Path(__file__).parents[3] / "shared" / "data" / "saliency"


def read(file):
    return np.asarray(Image.open(file))


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def save_mask(file, values):
    Image.fromarray(np.asarray(values, np.uint8)).save(file)


def test_images_with_small_objects_are_copied_byte_for_byte(make_data, tmp_path):
    root, out = make_data(), tmp_path / "out"
    report = filter_sets(root, out, FilterOptions(0.05))
    assert names(out / "images") == ["n0.jpg", "n1.jpg"]
    assert names(out / "masks") == ["n0.png", "n1.png"]
    for name in names(out / "images"):
        assert (out / "images" / name).read_bytes() == (root / "images" / name).read_bytes()
    (count, total) = report.counts
    assert (count.pairs, count.kept, count.larger, count.smaller) == (5, 2, 2, 0)
    assert (count.empty, count.left_out, count.not_binary, count.unpaired) == (1, 0, 0, 0)
    assert count.median_area == pytest.approx(0.0275)
    assert (total.dataset, total.kept) == ("all", 2)
    assert names(out) == ["README.md", "images", "index.csv", "masks", "sheet.png"]
    assert "| set | 5 | 2 |" in (out / "README.md").read_text(encoding="utf-8")


def test_both_ends_of_the_range_are_kept(make_data, tmp_path):
    report = filter_sets(make_data(), tmp_path / "out", FilterOptions(0.055, 0.05))
    (count, _) = report.counts
    assert names(tmp_path / "out" / "images") == ["n1.jpg", "n2.jpg"]
    assert (count.larger, count.smaller, count.empty) == (1, 1, 1)


def test_the_index_names_the_files_and_their_areas(make_data, tmp_path):
    filter_sets(make_data(), tmp_path / "out", FilterOptions())
    with (tmp_path / "out" / "index.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[1] == {
        "name": "n1", "width": "20", "height": "10", "area_fraction": "0.05000000",
        "image": "images/n1.jpg", "dataset": "set",
    }  # fmt: skip


def test_several_data_sets_come_into_one_folder_under_their_names(make_data, tmp_path):
    make_data("all/ECSSD", "images", "ground_truth_mask", (5, 100))
    make_data("all/DUTS/DUTS-TE", "DUTS-TE-Image", "DUTS-TE-Mask", (1, 2, 100))
    make_data("all/large", covered=(100, 100))
    report = filter_sets(tmp_path / "all", tmp_path / "out", FilterOptions())
    assert names(tmp_path / "out" / "images") == [
        "DUTS_DUTS-TE_n0.jpg", "DUTS_DUTS-TE_n1.jpg", "ECSSD_n0.jpg",
    ]  # fmt: skip
    found = [(c.dataset, c.pairs, c.kept, c.median_area) for c in report.counts]
    assert found == [
        ("DUTS/DUTS-TE", 3, 2, 0.0075), ("ECSSD", 2, 1, 0.025), ("large", 2, 0, None),
        ("all", 7, 3, 0.01),
    ]  # fmt: skip


def test_names_that_would_be_the_same_are_refused(make_data, tmp_path):
    first, second = make_data("all/a", covered=(1,)), make_data("all/a_n", covered=(1,))
    (first / "images" / "n0.jpg").rename(first / "images" / "n_x.jpg")
    (first / "masks" / "n0.png").rename(first / "masks" / "n_x.png")
    (second / "images" / "n0.jpg").rename(second / "images" / "x.jpg")
    (second / "masks" / "n0.png").rename(second / "masks" / "x.png")
    with pytest.raises(DataError, match=r"would both be named 'a_n_x': filter the data sets one"):
        filter_sets(tmp_path / "all", tmp_path / "out", FilterOptions())
    assert names(tmp_path) == ["all"]


def test_masks_that_are_not_binary_are_cut_at_the_threshold_and_counted(make_data, tmp_path):
    root, out = make_data(covered=(1, 2, 3)), tmp_path / "out"
    mask = np.zeros((10, 20), np.uint8)
    mask[0, :4] = (1, 127, 128, 255)
    save_mask(root / "masks" / "n0.png", mask)
    assert filter_sets(root, out, FilterOptions()).counts[-1].not_binary == 1
    assert read(out / "masks" / "n0.png")[0, :5].tolist() == [0, 0, 255, 255, 0]
    report = filter_sets(root, out, FilterOptions(threshold=1), force=True)
    assert report.counts[-1].not_binary == 1
    assert read(out / "masks" / "n0.png")[0, :5].tolist() == [255, 255, 255, 255, 0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_masks_of_any_mode_are_read(make_data, tmp_path, mode):
    root = make_data(covered=(3, 3))
    with Image.open(root / "masks" / "n0.png") as mask:
        converted = mask.convert(mode)
    converted.save(root / "masks" / "n0.png")
    filter_sets(root, tmp_path / "out", FilterOptions())
    written = read(tmp_path / "out" / "masks" / "n0.png")
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, read(root / "masks" / "n1.png"))


def test_masks_of_zeros_and_ones_are_an_error_that_names_the_threshold(make_data, tmp_path):
    root = make_data(covered=(3, 3, 3))
    for file in (root / "masks").iterdir():
        save_mask(file, read(file) // 255)
    words = r"3 of 3 pairs in .* brightest pixel is 1, .*; --threshold 1 takes every pixel above 0"
    with pytest.raises(DataError, match=words):
        filter_sets(root, tmp_path / "out", FilterOptions())
    report = filter_sets(root, tmp_path / "out", FilterOptions(threshold=1))
    assert (report.counts[-1].kept, report.counts[-1].not_binary) == (3, 3)


def test_one_pair_of_unequal_sizes_is_left_out_and_named(make_data, tmp_path):
    root = make_data(covered=(1, 2, 3))
    save_mask(root / "masks" / "n1.png", np.full((10, 21), 255))
    report = filter_sets(root, tmp_path / "out", FilterOptions())
    assert names(tmp_path / "out" / "images") == ["n0.jpg", "n2.jpg"]
    (message,) = report.left_out
    assert re.fullmatch(r"mask '.*n1.png' is 21x10 pixels, its image is 20x10", message)
    assert report.counts[-1].left_out == 1


def test_two_of_few_and_five_percent_of_many_are_an_error(make_data, tmp_path):
    root = make_data(covered=(1,) * 5)
    for name in ("n1.png", "n2.png"):
        save_mask(root / "masks" / name, np.full((5, 5), 255))
    with pytest.raises(DataError, match=r"2 of 5 pairs in '.*images' cannot be used: mask '.*n1"):
        filter_sets(root, tmp_path / "out", FilterOptions())
    many = make_data("many", covered=(1,) * 40)
    for name in ("n1.png", "n2.png"):
        save_mask(many / "masks" / name, np.full((5, 5), 255))
    report = filter_sets(many, tmp_path / "out", FilterOptions())
    assert (len(report.left_out), report.counts[-1].kept) == (2, 38)


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("share", [0, 0.6])
def test_a_broken_file_is_left_out_and_named(make_data, tmp_path, kind, share):
    root = make_data(covered=(1, 2, 3))
    file = next(iter(sorted((root / kind).iterdir())))
    os.truncate(file, int(file.stat().st_size * share))
    report = filter_sets(root, tmp_path / "out", FilterOptions())
    assert names(tmp_path / "out" / "images") == ["n1.jpg", "n2.jpg"]
    (message,) = report.left_out
    assert f"cannot read '{file}'" in message


def test_files_without_a_partner_are_counted_and_named(make_data, tmp_path):
    root = make_data(covered=(1, 2, 3))
    (root / "masks" / "n0.png").unlink()
    (root / "images" / "n1.jpg").unlink()
    report = filter_sets(root, tmp_path / "out", FilterOptions())
    assert report.unpaired == (str(root / "images" / "n0"), str(root / "masks" / "n1"))
    assert (report.counts[0].unpaired, report.counts[0].pairs) == (2, 1)


def test_a_filter_that_leaves_nothing_is_an_error_with_the_range_there_is(make_data, tmp_path):
    words = r"no object covers 0.000% to 0.100% of its image; they cover 0.500% to 50.000%, see"
    with pytest.raises(DataError, match=words):
        filter_sets(make_data(), tmp_path / "out", FilterOptions(0.001))
    with pytest.raises(DataError, match=r"nothing is left of '.*': no mask has an object"):
        filter_sets(make_data("empty", covered=(0, 0)), tmp_path / "out", FilterOptions())
    assert names(tmp_path) == ["empty", "set"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_area": 0.0}, r"max area must be in \(0, 1\], a share, got 0"),
        ({"max_area": 5.0}, "got 5.0"),
        ({"max_area": float("nan")}, "got nan"),
        ({"min_area": 0.06}, r"min area must be in \[0, max area\], that is \[0, 0.05\], got 0.06"),
        ({"min_area": -0.1}, "got -0.1"),
        ({"threshold": 0}, "threshold must be in 1 to 255, got 0"),
        ({"threshold": 256}, "got 256"),
    ],
)
def test_impossible_options_are_usage_errors(options, words):
    with pytest.raises(UsageError, match=words):
        FilterOptions(**options)


@pytest.mark.parametrize("place", [".", "..", "link"])
def test_the_data_set_is_never_replaced_by_its_subset(make_data, tmp_path, place):
    root = make_data("sets/one")
    (root / "link").symlink_to(root)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=r"holds the data set; --output names another"):
        filter_sets(root, root / place, FilterOptions(), force=True)
    assert sorted(tmp_path.rglob("*")) == before


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_folder_that_a_link_of_the_data_set_leads_into_is_never_replaced(
    make_data, tmp_path, kind
):
    root, out = make_data(), tmp_path / "out"
    out.mkdir()
    (root / kind).rename(out / kind)
    (root / kind).symlink_to(Path("..", "out", kind))
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=f"the data set: '.*set/{kind}' lies there; --output"):
        filter_sets(root, out, FilterOptions(0.05), force=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_nor_is_one_that_the_link_of_a_single_file_leads_into(make_data, tmp_path, kind):
    root, out = make_data(), tmp_path / "out"
    (out / kind).mkdir(parents=True)
    file = sorted((root / kind).iterdir())[3]
    file.rename(out / kind / file.name)
    file.symlink_to(out / kind / file.name)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=f"the data set: '{file}' lies there; --output"):
        filter_sets(root, out, FilterOptions(0.05), force=True)
    assert contents(tmp_path) == before


def test_links_that_lead_elsewhere_are_followed(make_data, tmp_path):
    make_data("pool")
    root = tmp_path / "set"
    root.mkdir()
    for kind in ("images", "masks"):
        (root / kind).symlink_to(tmp_path / "pool" / kind)
    for _ in range(2):
        filter_sets(root, tmp_path / "out", FilterOptions(), force=True)
    assert names(tmp_path / "out" / "images") == ["n0.jpg", "n1.jpg"]


@pytest.mark.parametrize("place", ["images/n0.png", "images/new.png", "new.png", "link.png"])
def test_the_sheet_never_lies_in_the_data_set(make_data, tmp_path, place):
    root = make_data()
    (root / "images" / "n0.jpg").rename(root / "images" / "n0.png")
    (tmp_path / "elsewhere.png").touch()
    (root / "link.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "way").symlink_to(root)
    before = contents(tmp_path)
    for sheet in (root / place, tmp_path / "way" / place):
        with pytest.raises(OutputError, match="the data set; --sheet names another file"):
            filter_sets(root, tmp_path / "out", FilterOptions(), sheet=sheet, force=True)
    assert contents(tmp_path) == before


def test_the_sheet_never_replaces_what_a_link_of_the_data_set_leads_to(make_data, tmp_path):
    pool = make_data("pool")
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    (root / "masks").symlink_to(pool / "masks")
    (pool / "images" / "n0.jpg").rename(pool / "n0.png")
    (root / "images" / "n0.png").symlink_to(pool / "n0.png")
    before = contents(tmp_path)
    for sheet in (pool / "n0.png", pool / "masks" / "n0.png"):
        with pytest.raises(OutputError, match="the data set; --sheet names another file"):
            filter_sets(root, tmp_path / "out", FilterOptions(), sheet=sheet, force=True)
    assert contents(tmp_path) == before


def test_a_subset_within_the_folder_is_not_found_again(make_data):
    root = make_data("sets/one").parent
    first = filter_sets(root, root / "tiny", FilterOptions())
    second = filter_sets(root, root / "tiny", FilterOptions(), force=True)
    assert first == second
    assert names(root) == ["one", "tiny"]


def test_the_same_data_give_the_same_bytes(make_data, tmp_path):
    root = make_data()
    for name in ("a", "b"):
        filter_sets(root, tmp_path / name, FilterOptions())
    for file in (tmp_path / "a").rglob("*.*"):
        other = tmp_path / "b" / file.relative_to(tmp_path / "a")
        assert file.read_bytes() == other.read_bytes()


def test_real_sets_are_counted_as_their_index_says(tmp_path):
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not there")
    with (SHARED / "index.csv").open(encoding="utf-8", newline="") as stream:
        index = list(csv.DictReader(stream))
    report = filter_sets(SHARED, tmp_path / "out", FilterOptions(0.02))
    for count in report.counts[:-1]:
        areas = [float(r["area_fraction"]) for r in index if r["dataset"] == count.dataset]
        assert count.pairs == len(areas)
        assert count.kept == sum(0 < area <= 0.02 for area in areas)
    assert report.counts[-1].pairs == len(index)
    assert report.left_out == report.unpaired == ()
