"""A folder that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.files import exchange
from wrg_onnx.tsod import folder
from wrg_onnx.tsod.folder import check_folder, check_sheet, whole_folder


def fill(path, text, sheet=None):
    with whole_folder(path, sheet) as (part, sheet_part):
        (part / "index.csv").write_text(text, encoding="utf-8")
        sheet_part.write_text(text, encoding="utf-8")
        assert not (path / "index.csv").exists() or text != path.joinpath("index.csv").read_text()


def names(folder):
    return [entry.name for entry in folder.iterdir()]


def test_nothing_is_there_until_all_is(tmp_path):
    fill(tmp_path / "a" / "out", "new")
    assert sorted(p.name for p in (tmp_path / "a" / "out").iterdir()) == [
        "images", "index.csv", "masks", "sheet.png",
    ]  # fmt: skip
    assert names(tmp_path / "a") == ["out"]


def test_the_folder_has_the_rights_of_any_new_one(tmp_path):
    fill(tmp_path / "out", "new")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_old_folder_gives_way_at_the_end(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(folder, "exchange", lambda *_: False)
    fill(tmp_path / "out", "old")
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "index.csv").read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["out"]


def test_at_no_moment_is_there_no_folder_where_the_system_lets_two_change_places(
    tmp_path, monkeypatch
):
    fill(tmp_path / "out", "old")
    (tmp_path / "other").mkdir()
    if not exchange(tmp_path / "out", tmp_path / "other"):
        pytest.skip("this file system does not let folders change places")
    exchange(tmp_path / "out", tmp_path / "other")
    monkeypatch.setattr(Path, "rename", None)  # it is not moved away first
    fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "index.csv").read_text(encoding="utf-8") == "new"
    assert sorted(names(tmp_path)) == ["other", "out"]


def test_where_a_link_leads_is_replaced_and_the_link_stays(tmp_path):
    fill(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    fill(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "index.csv").read_text(encoding="utf-8") == "new"


def test_an_old_folder_stays_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    fill(tmp_path / "out", "old")
    rename = Path.rename

    def refuse(self, target):
        if self.name.endswith(".part"):
            raise OSError(1, "Operation not permitted")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(folder, "exchange", lambda *_: False)  # as on a system that has none
    with pytest.raises(OutputError, match="cannot be written: Operation not permitted"):
        fill(tmp_path / "out", "new")
    assert (tmp_path / "out" / "index.csv").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["out"]


def test_a_sheet_elsewhere_appears_with_the_folder(tmp_path):
    fill(tmp_path / "out", "new", tmp_path / "looks" / "sheet.png")
    assert (tmp_path / "looks" / "sheet.png").read_text(encoding="utf-8") == "new"
    assert not (tmp_path / "out" / "sheet.png").exists()


def test_a_sheet_needs_a_png_of_its_own(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"must end in .png, such as 'look.png'"):
        check_sheet(Path("look.jpg"), out, force=False)
    with pytest.raises(UsageError, match="lies in the output"):
        check_sheet(out / "look.png", out, force=False)
    (tmp_path / "look.png").touch()
    with pytest.raises(OutputError, match="exists; --force replaces it, --sheet names another"):
        check_sheet(tmp_path / "look.png", out, force=False)
    check_sheet(tmp_path / "look.png", out, force=True)
    check_sheet(None, out, force=False)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match="is not a folder"):
            check_folder(path, force=True)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("place", [".", "..", "../..", "../../link"])
def test_the_current_folder_and_those_above_stay(tmp_path, monkeypatch, place, force):
    here = tmp_path / "out" / "images"
    here.mkdir(parents=True)
    (tmp_path / "link").symlink_to(here)
    monkeypatch.chdir(here)
    with pytest.raises(OutputError, match="holds the current folder; --output names another"):
        check_folder(Path(place), force=force)
    check_folder(Path("new"), force=force)


@pytest.mark.parametrize("force", [False, True])
def test_an_empty_folder_needs_force_too(tmp_path, force):
    (tmp_path / "out").mkdir()
    if force:
        check_folder(tmp_path / "out", force=True)
        return
    with pytest.raises(OutputError, match="exists; --force"):
        check_folder(tmp_path / "out", force=False)
