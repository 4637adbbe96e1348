"""A copy is for those alone who may read what it is a copy of."""

from __future__ import annotations

import os

import pytest

from wrg_onnx.files import give_rights


@pytest.fixture
def files(tmp_path):
    """Return the path of a file, and the descriptor of another one for its owner alone."""
    (tmp_path / "origin").touch()
    handle = os.open(tmp_path / "copy", os.O_WRONLY | os.O_CREAT, 0o600)
    yield tmp_path / "origin", handle
    os.close(handle)


def mode_of(handle):
    return os.fstat(handle).st_mode & 0o7777


def refuse(*_):
    raise PermissionError(1, os.strerror(1))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o604, 0o400])
def test_it_has_the_mode_of_the_other_one(files, mode):
    origin, handle = files
    origin.chmod(mode)
    give_rights(handle, origin.stat())
    assert mode_of(handle) == mode


def test_nobody_runs_as_its_owner(files):
    origin, handle = files
    origin.chmod(0o6755)
    give_rights(handle, origin.stat())
    assert mode_of(handle) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_it_has_the_owner_and_the_group_of_the_other_one(files):
    origin, handle = files
    os.chown(origin, 12345, 23456)
    give_rights(handle, origin.stat())
    found = os.fstat(handle)
    assert (found.st_uid, found.st_gid) == (12345, 23456)


def test_another_group_may_not_read_it(files, monkeypatch):
    origin, handle = files
    origin.chmod(0o664)
    found = origin.stat()
    monkeypatch.setattr(os, "fchown", refuse)
    give_rights(handle, found)
    assert mode_of(handle) == 0o664
    give_rights(handle, os.stat_result([*found[:5], found.st_gid + 1, *found[6:]]))
    assert mode_of(handle) == 0o604


def test_on_a_file_system_without_rights_it_is_for_its_owner_alone(files, monkeypatch):
    origin, handle = files
    monkeypatch.setattr(os, "fchmod", refuse)
    give_rights(handle, origin.stat())
    assert mode_of(handle) == 0o600
