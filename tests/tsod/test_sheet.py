"""The picture sheet."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from wrg_onnx.tsod.sheet import TILE, Tile, write_sheet

PINK = np.array([255, 0, 200])


def tile(height=100, width=100, box=(40, 60, 40, 60), name="a"):
    image = np.full((height, width, 3), 90, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    top, bottom, left, right = box
    image[top:bottom, left:right] = 200
    mask[top:bottom, left:right] = 255
    return Tile(lambda: (image, mask), name, float(np.mean(mask > 0)))


def drawn(tiles, file):
    count = write_sheet(tiles, file)
    return count, np.asarray(Image.open(file)).astype(int)


def test_the_outline_goes_around_the_object_and_leaves_it_in_sight(tmp_path):
    _, sheet = drawn([tile()], tmp_path / "sheet.png")
    line = (sheet == PINK).all(axis=2)
    rows, columns = np.nonzero(line)
    inside = sheet[rows.min() + 4 : rows.max() - 3, columns.min() + 4 : columns.max() - 3]
    assert (inside == 200).all()
    assert (rows.max() - rows.min()) == pytest.approx(0.2 * TILE, abs=8)
    assert np.count_nonzero((sheet == 200).all(axis=2)) == pytest.approx((0.2 * TILE) ** 2, rel=0.1)


@pytest.mark.parametrize(("height", "width"), [(1000, 800), (16, 16), (10, 4000), (4000, 10)])
def test_an_object_of_one_pixel_is_outlined_at_any_size(tmp_path, height, width):
    box = (height // 2, height // 2 + 1, width // 2, width // 2 + 1)
    _, sheet = drawn([tile(height, width, box)], tmp_path / "sheet.png")
    assert (sheet == PINK).all(axis=2).any()


def test_a_large_set_is_shown_in_part_from_first_to_late(tmp_path):
    read = []

    def note(number):
        def reader():
            read.append(number)
            return tile().read()

        return Tile(reader, str(number), 0.04)

    count, sheet = drawn([note(n) for n in range(100)], tmp_path / "sheet.png")
    assert count == len(read) == 40
    assert (read[0], read[-1]) == (0, 97)
    assert sheet.shape[1] > 8 * TILE


def test_long_names_do_not_run_into_the_area(tmp_path):
    _, short = drawn([tile(name="")], tmp_path / "short.png")
    _, long = drawn([tile(name="w" * 300)], tmp_path / "long.png")
    assert short.shape == long.shape
    area = (slice(TILE + 6, None), slice(TILE - 22, None))
    np.testing.assert_array_equal(short[area], long[area])
    assert (short != long).any()
