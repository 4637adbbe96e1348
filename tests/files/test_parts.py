"""Files take their place in one move, whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from wrg_onnx.errors import OutputError
from wrg_onnx.files import (
    exchange,
    held,
    old_beside,
    open_kept,
    part_folder,
    parts,
    remove_old,
    renamed,
    scratch,
    scratch_folder,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(path, error):
    """Fail while a file is written."""
    with renamed(path) as part:
        part.write_text("half", encoding="utf-8")
        raise error


def remove_folder(path):
    """Remove the folder of a file while it is written."""
    with renamed(path) as part:
        part.unlink()
        path.parent.rmdir()


def fail_in_scratch(error):
    with scratch_folder():
        raise error


def test_a_file_appears_when_all_went_well(tmp_path):
    with renamed(tmp_path / "m") as part:
        part.write_text("whole", encoding="utf-8")
        assert not (tmp_path / "m").exists()
    assert (tmp_path / "m").read_text(encoding="utf-8") == "whole"
    assert names(tmp_path) == ["m"]


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), SystemExit(1)])
def test_what_fails_leaves_what_was_there(tmp_path, error):
    (tmp_path / "m").write_text("old", encoding="utf-8")
    with pytest.raises(type(error)):
        write_half(tmp_path / "m", error)
    assert (tmp_path / "m").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["m"]


def test_a_file_has_the_rights_of_any_new_one(tmp_path):
    with renamed(tmp_path / "m") as part:
        part.touch()
    (tmp_path / "plain").touch()
    assert (tmp_path / "m").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("rights", [0o600, 0o640, 0o666])
def test_a_file_may_be_for_fewer_also_while_it_is_written(tmp_path, rights):
    before = os.umask(0)
    try:
        with renamed(tmp_path / "m", rights=rights) as part:
            assert part.stat().st_mode & 0o777 == rights
            part.write_text("whole", encoding="utf-8")
    finally:
        os.umask(before)
    assert (tmp_path / "m").stat().st_mode & 0o777 == rights


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "real").write_text("old", encoding="utf-8")
    (tmp_path / "m").symlink_to("real")
    with renamed(tmp_path / "m") as part:
        part.write_text("new", encoding="utf-8")
    assert not (tmp_path / "m").is_symlink()
    assert (tmp_path / "real").read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("lasting", [True, False])
def test_what_must_last_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch, lasting):
    done = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: done.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
    )
    with renamed(tmp_path / "m", lasting=lasting) as part:
        part.touch()
    assert done == ([str(part), str(tmp_path)] if lasting else [])


def test_a_folder_that_vanishes_is_an_error_of_the_system(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileNotFoundError):
        remove_folder(tmp_path / "out" / "m")


def test_a_part_folder_goes_with_what_is_in_it(tmp_path):
    with part_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
        assert folder.parent == tmp_path
    assert names(tmp_path) == []


def test_a_part_folder_may_take_a_place_itself(tmp_path):
    with part_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
        folder.rename(tmp_path / "out")
    assert names(tmp_path / "out") == ["a"]


def test_what_was_old_is_removed_by_the_name_of_its_file_alone(tmp_path):
    own = [old_beside(tmp_path / "m.data") for _ in range(2)]
    other = old_beside(tmp_path / "n.data")
    for path in (*own, other):
        path.touch()
    remove_old(tmp_path / "m.data")
    assert names(tmp_path) == [other.name]


def test_names_of_parts_fit_whatever_the_name_of_the_file(tmp_path):
    for name in ("n" * 255, "ä" * 127, "名" * 85):
        path = held.beside(tmp_path / name, held.PART)
        assert len(os.fsencode(path.name)) <= 255
        path.touch()


# --- temporary folders ----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_temporary_folder_is_for_this_user_alone_and_goes(place):
    with scratch_folder() as folder:
        assert folder.parent == place
        assert folder.name.startswith("wrg-onnx-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "a").touch()
    assert names(place) == []


@pytest.mark.parametrize("number", scratch.FULL)
def test_a_place_for_temporary_files_that_is_full_is_named(place, number):
    with pytest.raises(OutputError, match=f"'{place}' takes no temporary files: .*TMPDIR names"):
        fail_in_scratch(OSError(number, os.strerror(number)))
    assert names(place) == []


def test_a_place_for_temporary_files_that_is_gone_is_named(place):
    place.rmdir()
    with pytest.raises(OutputError, match="takes no temporary files: No such file or directory"):
        fail_in_scratch(AssertionError())


# --- what a later run reads -----------------------------------------------------------------------


def test_a_file_is_opened_and_what_is_none_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    with open_kept(tmp_path / "file") as stream:
        assert stream.read() == b"kept"
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("gone")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("link", "a link, not a file"),
        ("dangling", "a link, not a file"),
        ("folder", "Is a directory"),
        ("pipe", "not an ordinary file"),
    ):
        with pytest.raises(OSError, match=words):
            open_kept(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_kept(tmp_path / "gone")


def test_old_names_are_none_that_are_removed_for_being_left(tmp_path):
    path = old_beside(tmp_path / "m.data")
    assert path.name.endswith(parts.OLD)
    path.touch()
    held.remove_leftovers(tmp_path)
    assert path.exists()


# --- two at once ----------------------------------------------------------------------------------


def test_folders_change_places_at_once_or_not_at_all(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of {name}").touch()
    is_done = exchange(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path / "a") == ["of b" if is_done else "of a"]
    assert names(tmp_path / "b") == ["of a" if is_done else "of b"]
    assert not exchange(tmp_path / "a", tmp_path / "gone")
    assert names(tmp_path) == ["a", "b"]


def test_a_folder_on_another_disk_behind_a_link_takes_files(tmp_path):
    other = Path("/dev/shm")  # noqa: S108 - it is another file system
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system at hand")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        (tmp_path / "out").symlink_to(folder)
        with renamed(tmp_path / "out" / "m") as part:
            part.write_text("whole", encoding="utf-8")
        assert names(Path(folder)) == ["m"]
