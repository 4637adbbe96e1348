"""Paths that cannot be written to are refused before the work, in one line."""

from __future__ import annotations

import os
import shutil

import pytest

from wrg_onnx.errors import OutputError
from wrg_onnx.files import check as check_module
from wrg_onnx.files import check_output, check_room, held, renamed


def refusal(path, **options):
    folder = next(parent for parent in path.parents if check_module.os.path.lexists(parent))
    before = sorted(folder.iterdir()) if folder.is_dir() else None
    with pytest.raises(OutputError) as caught:
        check_output(path, **{"force": True, **options})
    assert "\n" not in str(caught.value)
    if before is not None:
        assert sorted(folder.iterdir()) == before
    return str(caught.value)


def test_a_new_file_in_a_new_folder_is_fine_and_nothing_is_made(tmp_path):
    check_output(tmp_path / "a" / "b" / "m.onnx", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_needs_force(tmp_path):
    (tmp_path / "m.onnx").touch()
    assert "exists; --force replaces it, --plot names" in refusal(
        tmp_path / "m.onnx", force=False, option="--plot"
    )
    check_output(tmp_path / "m.onnx", force=True)


def test_a_link_to_a_file_needs_force_too(tmp_path):
    (tmp_path / "real.onnx").touch()
    (tmp_path / "m.onnx").symlink_to("real.onnx")
    assert "exists; --force replaces it" in refusal(tmp_path / "m.onnx", force=False)
    check_output(tmp_path / "m.onnx", force=True)


@pytest.mark.parametrize("force", [False, True])
def test_a_link_that_leads_nowhere_is_named(tmp_path, force):
    (tmp_path / "m.onnx").symlink_to("/nowhere/m.onnx")
    line = refusal(tmp_path / "m.onnx", force=force)
    assert "is a link to '/nowhere/m.onnx', which is not there: remove it" in line


def test_a_link_to_itself_is_named(tmp_path):
    (tmp_path / "m.onnx").symlink_to("m.onnx")
    assert "cannot be written: Too many levels of symbolic links" in refusal(tmp_path / "m.onnx")


def test_a_folder_behind_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "out").symlink_to("gone")
    assert "'out' is not a folder" in refusal(tmp_path / "out" / "m.onnx").replace(
        f"{tmp_path}/", ""
    )


def test_a_device_is_not_replaced(tmp_path):
    (tmp_path / "m.onnx").symlink_to("/dev/full")
    for path in (check_module.Path("/dev/full"), tmp_path / "m.onnx"):
        with pytest.raises(OutputError, match="is a device or a pipe, not a file; --output names"):
            check_output(path, force=True)


def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")
    assert "is a device or a pipe" in refusal(tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["n" * 251 + ".onnx", "ä" * 126 + ".onnx"])
def test_a_name_that_is_too_long_is_named(tmp_path, name):
    line = refusal(tmp_path / name)
    assert f"has {len(os.fsencode(name))} bytes, and its file system takes 255" in line


def test_the_name_of_a_folder_that_will_be_made_counts_too(tmp_path):
    assert "has 300 bytes" in refusal(tmp_path / ("d" * 300) / "m.onnx")


def test_a_name_that_just_fits_can_be_written(tmp_path):
    for name in ("n" * 250 + ".onnx", "ä" * 125 + ".onnx"):
        check_output(tmp_path / name, force=False)
        with renamed(tmp_path / name) as part:
            part.write_text("whole", encoding="utf-8")
        assert (tmp_path / name).read_text(encoding="utf-8") == "whole"


def test_a_path_that_is_too_long_is_named(tmp_path):
    path = tmp_path.joinpath(*["d" * 200] * 30, "m.onnx")
    assert "cannot be written: File name too long" in refusal(path)


def test_a_file_as_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    assert "is not a folder that can be written to" in refusal(tmp_path / "file" / "m.onnx")


def test_a_folder_that_takes_no_file_is_named_whatever_its_rights_say(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(check_module.tempfile, "TemporaryFile", refuse)
    assert "takes no file: No space left on device" in refusal(tmp_path / "m.onnx")


@pytest.mark.skipif(not check_module.Path("/proc/self").exists(), reason="there is no /proc")
def test_a_file_system_that_takes_no_file_is_named():
    with pytest.raises(OutputError, match=r"'/proc/m\.onnx': "):
        check_output(check_module.Path("/proc/m.onnx"), force=False)


def test_what_killed_runs_left_is_removed_before_there_is_a_look_at_the_disk(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(check_module.tempfile, "tempdir", str(temporary))
    left = (tmp_path / held.marked(".m.onnx.", ".part"), temporary / held.marked())
    for path in left:
        path.touch()
    check_output(tmp_path / "m.onnx", force=False)
    assert not any(path.exists() for path in left)


# --- room on the disk -----------------------------------------------------------------------------


@pytest.fixture
def free(monkeypatch):
    """Let the disk have 1000 MiB free."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000 * 2**20))


@pytest.mark.usefixtures("free")
def test_a_file_that_does_not_fit_is_refused_with_both_sizes(tmp_path):
    check_room({tmp_path / "a" / "m.onnx": 1000 * 2**20})
    with pytest.raises(OutputError) as caught:
        check_room({tmp_path / "a" / "m.onnx": 1001 * 2**20}, "--out-dir")
    assert str(caught.value) == (
        f"'{tmp_path}/a/m.onnx': at least 1,001.0 MiB are needed, and the disk of '{tmp_path}' has "
        "1,000.0 MiB free: free some, or name a place elsewhere (--out-dir)"
    )


@pytest.mark.usefixtures("free")
def test_files_that_go_to_one_disk_are_added_up(tmp_path):
    needs = {tmp_path / f"{number}.onnx": 400 * 2**20 for number in range(3)}
    with pytest.raises(OutputError, match=r"0\.onnx' and 2 more: at least 1,200\.0 MiB"):
        check_room(needs)


def test_nothing_needs_no_room():
    check_room({})
