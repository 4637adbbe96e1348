"""``wrg-onnx tsod make`` and ``wrg-onnx tsod filter``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MAKE = ("tsod", "make", "--count", 3, "--size", 32)


@pytest.fixture
def made(run):
    assert run(*MAKE, "-o", "made").exit_code == 0
    return Path("made")


def test_make_says_what_it_made(run, folder):
    done = run(*MAKE, "--seed", 7)
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "tsod: 3 images of 32x32 pixels, seed 7" in done.stdout
    assert "Index: tsod/index.csv. 3 images to look at: tsod/sheet.png" in done.stdout
    assert sorted(p.name for p in (folder / "tsod").iterdir()) == [
        "README.md", "images", "index.csv", "masks", "sheet.png",
    ]  # fmt: skip


def test_make_prints_one_json_object(run):
    done = run(*MAKE, "--json", "--sheet", "look.png")
    found = json.loads(done.stdout)
    assert (found["output"], found["images"], found["seed"]) == ("tsod", 3, 0)
    assert found["counts"][-1]["background"] == "all"
    assert found["sheet"] == "look.png"
    assert Path("look.png").exists()
    assert not Path("tsod/sheet.png").exists()


def test_what_was_made_can_be_calibrated_on(run, model, made):
    done = run("prune", model, "--ratio", 0.5, "--criterion", "wr", "--data", made, "--size", 32)
    assert done.exit_code == 0, done.stderr
    assert "2 of 3 images with masks from made" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", 8), "size must be 16x16 to 8192x8192, got 8x8"),
        (("--size", "100000"), "got 100000x100000"),
        (("--size", "0x32"), "expected a size such as 224"),
        (("--count", 0), "count must be in 1 to 1,000,000, got 0"),
        (("--count", 10**9), "got 1000000000"),
        (("--count", "many"), "'many' is not a valid integer"),
        (("--seed", -1), "-1 is not in the range"),
        (("--background", "moon"), "'moon' is not one of"),
        (("--sheet", "look.jpg"), "sheet 'look.jpg' must end in .png"),
    ],
)
def test_impossible_options_of_make_are_usage_errors(refused, options, words):
    assert words in refused("tsod", "make", *options, code=2)


def test_make_replaces_a_set_with_force_alone(run, refused, made):
    assert refused(*MAKE, "-o", made) == (
        "'made' exists; --force replaces it, --output names another one"
    )
    assert run(*MAKE, "-o", made, "--force").exit_code == 0
    (made / "notes.txt").touch()
    assert "holds 'notes.txt'" in refused(*MAKE, "-o", made, "--force")


def test_make_refuses_a_place_that_is_no_folder(refused, model):
    assert refused(*MAKE, "-o", model, "--force").startswith("'m.onnx' is not a folder")
    assert "is not a folder that can be written to" in refused(*MAKE, "-o", "m.onnx/out")


def test_filter_says_what_it_kept(run, made):
    done = run("tsod", "filter", made)
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "made -> made-tiny" in done.stdout
    assert "made          3     3       0        0      0         0" in done.stdout
    assert "binary" not in done.stdout
    assert (Path("made-tiny") / "sheet.png").exists()


def test_filter_prints_one_json_object(run, made):
    done = run("tsod", "filter", made, "-o", "kept", "--json")
    found = json.loads(done.stdout)
    assert (found["source"], found["output"]) == ("made", "kept")
    assert found["options"] == {"max_area": 0.05, "min_area": 0.0, "threshold": 128}
    assert found["counts"][0]["images"] == "made/images"
    assert found["counts"][-1]["kept"] == 3


def test_filter_tells_what_is_wrong_with_files_and_goes_on(run, made):
    mask = np.zeros((32, 32), np.uint8)
    mask[3, 3:6] = (200, 20, 255)
    Image.fromarray(mask).save(made / "masks" / "000000.png")
    Image.fromarray(mask[:16]).save(made / "masks" / "000001.png")
    Image.fromarray(mask).save(made / "masks" / "alone[1].png")
    done = run("tsod", "filter", made)
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    text = " ".join(done.stdout.split())
    assert "1 of 2 masks are not binary: an object is what is 128 to 255" in text
    assert "Left out: mask 'made/masks/000001.png' is 32x16 pixels, its image is 32x32." in text
    assert "Without a mask or an image of the same name: 'made/masks/alone[1]'" in text


def test_filter_of_here_names_the_folder_beside(run, made, monkeypatch):
    monkeypatch.chdir(made)
    assert run("tsod", "filter", ".").exit_code == 0
    assert (Path("..") / "made-tiny" / "index.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--max-area", 0), "max area must be in (0, 1], a share, got 0"),
        (("--max-area", 5), "got 5.0"),
        (("--max-area", "five"), "'five' is not a valid float"),
        (("--min-area", 0.5), "min area must be in [0, max area]"),
        (("--threshold", 300), "threshold must be in 1 to 255, got 300"),
    ],
)
def test_impossible_options_of_filter_are_usage_errors(refused, made, options, words):
    assert words in refused("tsod", "filter", made, *options, code=2)


def test_filter_refuses_what_is_no_data_set(refused, folder, model):
    assert refused("tsod", "filter", "gone") == "no folder at 'gone'"
    assert refused("tsod", "filter", model) == "no folder at 'm.onnx'"
    (folder / "bare" / "images").mkdir(parents=True)
    assert refused("tsod", "filter", "bare").startswith("no data set in 'bare': expected")
    (folder / "bare" / "masks").mkdir()
    assert "0 images, 0 masks" in refused("tsod", "filter", "bare")


def test_filter_refuses_to_leave_nothing(refused, made):
    line = refused("tsod", "filter", made, "--max-area", 0.00001)
    assert line.startswith("nothing is left of 'made': no object covers 0.000% to 0.001%")


def test_filter_refuses_an_output_that_is_there_or_holds_the_data(refused, run, made):
    assert run("tsod", "filter", made).exit_code == 0
    assert "'made-tiny' exists; --force" in refused("tsod", "filter", made)
    for output in (made, "."):
        line = refused("tsod", "filter", made, "-o", output, "--force")
        assert line == f"output '{output}' holds the data set; --output names another folder"
    assert run("tsod", "filter", made, "--force").exit_code == 0


@pytest.mark.parametrize("own", [False, True])
def test_make_does_not_replace_the_folder_it_runs_in(run, refused, folder, monkeypatch, own):
    (folder / "here").mkdir()
    if own:
        run("tsod", "make", "--count", 1, "--size", 32, "-o", "here", "--force")
    monkeypatch.chdir(folder / "here")
    line = refused("tsod", "make", "--count", 1, "--size", 32, "-o", ".", "--force")
    assert line == "'.' holds the current folder; --output names another one"
    assert Path.cwd() == folder / "here"


def test_filter_does_not_draw_over_the_data_set(refused, made):
    source = made / "images" / "000000.png"
    line = refused("tsod", "filter", made, "-o", "small", "--sheet", source, "--force")
    assert line == f"sheet '{source}' lies in the data set; --sheet names another file"
