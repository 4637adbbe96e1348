"""A made set: its layout, the same bytes from the same seed, whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wrg_onnx import __version__
from wrg_onnx.data.dataset import from_directory
from wrg_onnx.data.preprocess import default_preprocessing
from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.graph.model import Value
from wrg_onnx.tsod import BACKGROUNDS, MakeOptions, generate, make, make_set


def small(count=6, **options):
    return MakeOptions(count, 32, 48, **options)


def digests(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def read(file: Path):
    return np.asarray(Image.open(file))


def test_the_folder_is_as_documented(tmp_path):
    report = make_set(tmp_path / "out", small())
    names = [f"{number:06d}.png" for number in range(6)]
    assert sorted(digests(tmp_path / "out")) == sorted(
        ["README.md", "index.csv", "sheet.png", *(f"images/{n}" for n in names),
         *(f"masks/{n}" for n in names)]
    )  # fmt: skip
    assert (report.images, report.on_sheet) == (6, 6)
    assert report.counts[-1].background == "all"
    assert report.counts[-1].images == sum(count.images for count in report.counts[:-1]) == 6
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert __version__ in readme
    assert "wrg-onnx tsod make --count 6 --size 32x48 --seed 0\n" in readme


def test_the_index_says_what_is_in_the_files(tmp_path):
    out = tmp_path / "out"
    report = make_set(out, small(20))
    with (out / "index.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    titles = ["name", "width", "height", "area_fraction", "objects", "background"]
    assert list(rows[0]) == titles
    for row in rows:
        image, mask = (read(out / kind / f"{row['name']}.png") for kind in ("images", "masks"))
        assert image.shape == (int(row["height"]), int(row["width"]), 3) == (32, 48, 3)
        assert mask.shape == (32, 48)
        assert set(np.unique(mask)) == {0, 255}
        assert float(row["area_fraction"]) == pytest.approx(np.mean(mask > 0), abs=1e-8)
        assert row["objects"] in {"1", "2", "3"}
        assert row["background"] in BACKGROUNDS
    total = report.counts[-1]
    areas = sorted(float(row["area_fraction"]) for row in rows)
    found = (total.smallest, total.median, total.largest)
    assert found == pytest.approx((areas[0], np.median(areas), areas[-1]), abs=1e-8)
    assert total.objects == sum(int(row["objects"]) for row in rows)


def test_an_image_is_the_same_however_many_are_made(tmp_path):
    make_set(tmp_path / "few", small(4))
    make_set(tmp_path / "many", small(9))
    few, many = digests(tmp_path / "few"), digests(tmp_path / "many")
    for number in range(4):
        for kind in ("images", "masks"):
            assert few[f"{kind}/{number:06d}.png"] == many[f"{kind}/{number:06d}.png"]
    assert len(set(many.values())) == len(many)


def test_an_image_is_the_one_that_calibration_draws(tmp_path):
    make_set(tmp_path / "out", small(3, seed=5))
    image, mask = generate(np.random.default_rng([5, 2]), 32, 48)
    np.testing.assert_array_equal(read(tmp_path / "out/images/000002.png"), image)
    np.testing.assert_array_equal(read(tmp_path / "out/masks/000002.png"), mask)


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_thread(tmp_path, monkeypatch):
    make_set(tmp_path / "here", small())
    code = (
        "from pathlib import Path; from wrg_onnx.tsod import MakeOptions, make_set; "
        f"make_set(Path({str(tmp_path / 'there')!r}), MakeOptions(6, 32, 48))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    monkeypatch.setattr(make.os, "cpu_count", lambda: 1)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda n: make_set(tmp_path / n, small()), ("first", "second")))
    expected = digests(tmp_path / "here")
    for name in ("there", "first", "second"):
        assert digests(tmp_path / name) == expected


def test_another_seed_gives_other_images(tmp_path):
    make_set(tmp_path / "a", small(seed=0))
    make_set(tmp_path / "b", small(seed=1))
    assert not set(digests(tmp_path / "a").values()) & set(digests(tmp_path / "b").values())


def test_backgrounds_are_those_asked_for(tmp_path):
    report = make_set(tmp_path / "out", small(12, backgrounds=("sea", "texture")))
    assert {count.background for count in report.counts} == {"sea", "texture", "all"}
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "--background sea --background texture" in readme


def test_other_commands_read_the_folder(tmp_path):
    make_set(tmp_path / "out", small(5))
    value = Value("image", np.dtype(np.float32), (1, 3, 32, 48))
    data = from_directory(tmp_path / "out", [value], default_preprocessing([value]))
    assert (len(data), data.has_masks) == (5, True)
    assert data[4].mask.any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "count must be in 1 to 1,000,000, got 0"),
        ({"count": -1}, "got -1"),
        ({"count": 1_000_001}, "got 1000001"),
        ({"height": 15}, "size must be 16x16 to 8192x8192, got 15x320"),
        ({"width": 8193}, "got 320x8193"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"backgrounds": ("moon",)}, "no background 'moon': there are clutter, ground"),
    ],
)
def test_impossible_options_are_usage_errors(options, words):
    with pytest.raises(UsageError, match=words):
        MakeOptions(**options)


def test_an_existing_set_is_replaced_with_force_alone(tmp_path):
    out = tmp_path / "out"
    make_set(out, small(3))
    before = digests(out)
    with pytest.raises(OutputError, match=r"'.*out' exists; --force replaces it"):
        make_set(out, small(2))
    assert digests(out) == before
    make_set(out, small(2), force=True)
    assert sorted(p.name for p in (out / "images").iterdir()) == ["000000.png", "000001.png"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_things_is_never_replaced(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years", encoding="utf-8")
    with pytest.raises(OutputError, match=r"holds 'thesis.tex'.*not replaced"):
        make_set(out, small(), force=True)
    assert (out / "thesis.tex").read_text(encoding="utf-8") == "years"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_broken_off_run_leaves_nothing(tmp_path, monkeypatch, error):
    out = tmp_path / "deep" / "out"
    write = make.write_png

    def fail(pixels, file):
        if file.name == "000004.png":
            raise error
        write(pixels, file)

    monkeypatch.setattr(make, "write_png", fail)
    kind = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(kind, match="No space left" if kind is OutputError else None):
        make_set(out, small(), sheet=tmp_path / "look.png")
    assert [p for p in tmp_path.rglob("*") if p != out.parent] == []


def test_progress_ends_at_all(tmp_path):
    told = []
    make_set(tmp_path / "out", small(3), progress=lambda *step: told.append(step))
    assert told == [("make", 1, 3), ("make", 2, 3), ("make", 3, 3), ("sheet", 0, 1)]
