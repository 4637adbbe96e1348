"""What a data set is made of is told by the names and sizes of its files."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from wrg_onnx.data.provenance import folder_digest


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        for number in (1, 2):
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / part / f"{number}.png")
    return tmp_path


def test_the_digest_is_of_names_and_sizes_in_order(folder):
    lines = [
        f"{part}/{number}.png\0{(folder / part / f'{number}.png').stat().st_size}\n"
        for part in ("images", "masks")
        for number in (1, 2)
    ]
    assert folder_digest(folder) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_same_files_elsewhere_have_the_same_digest(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere") / "copy"
    folder.rename(other)
    before = folder_digest(other)
    other.rename(folder)
    assert folder_digest(folder) == before


@pytest.mark.parametrize("change", ["rename", "grow", "add", "remove a mask"])
def test_another_file_changes_the_digest(folder, change):
    before, file = folder_digest(folder), folder / "images" / "1.png"
    if change == "rename":
        file.rename(file.with_name("3.png"))
    elif change == "grow":
        file.write_bytes(file.read_bytes() + b"x")
    elif change == "add":
        (folder / "images" / "4.png").write_bytes(b"x")
    else:
        (folder / "masks" / "1.png").unlink()
    assert folder_digest(folder) != before


def test_other_files_do_not_count(folder):
    before = folder_digest(folder)
    (folder / "notes.txt").write_text("x")
    (folder / "images" / ".hidden.png").write_text("x")
    assert folder_digest(folder) == before


def test_archives_and_loose_images_count(tmp_path):
    empty = folder_digest(tmp_path)
    np.savez(tmp_path / "a.npz", x=np.zeros(2))
    with_archive = folder_digest(tmp_path)
    (tmp_path / "b.png").write_bytes(b"x")
    assert len({empty, with_archive, folder_digest(tmp_path)}) == 3
