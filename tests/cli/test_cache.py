"""``wrg-onnx cache``: what is kept, how large it is, and how to be rid of it."""

from __future__ import annotations

import json

import pytest

SHORT = ("--ratio", 0.5, "--criterion", "wr", "--size", 32, "--samples", 2, "--no-evaluate",
         "--recover", "none")  # fmt: skip


@pytest.fixture
def kept(run, model, folder):
    """Prune once, so that something is kept."""
    done = run("prune", model, *SHORT, "--cache", folder / "kept")
    assert done.exit_code == 0
    (file,) = (folder / "kept").iterdir()
    return file


def told(run, *arguments):
    done = run("cache", "--json", *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_files_and_their_size_are_shown(run, kept):
    size = kept.stat().st_size
    assert told(run, "--cache", kept.parent) == {
        "schema": "wrg-onnx/cache/v1",
        "folder": str(kept.parent),
        "files": 1,
        "file_bytes": size,
        "limit_bytes": 2 * 2**30,
        "removed_files": 0,
        "removed_bytes": 0,
    }
    done = run("cache", "--cache", kept.parent)
    assert f"1 file, {size / 1024:.1f} KiB; the limit is 2.0 GiB" in done.stdout
    assert kept.exists()


def test_clearing_removes_what_is_kept_and_nothing_else(run, kept):
    other = kept.with_name("mine.npz")
    other.write_bytes(kept.read_bytes())
    found = told(run, "--cache", kept.parent, "--clear")
    assert (found["files"], found["removed_files"]) == (0, 1)
    assert found["removed_bytes"] == other.stat().st_size
    assert [*kept.parent.iterdir()] == [other]
    assert "no file" in run("cache", "--cache", kept.parent, "--clear").stdout


def test_without_a_folder_it_is_the_one_that_prune_uses(run, model, folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "home"))  # all tests share another one
    before = told(run)
    assert run("prune", model, *SHORT).exit_code == 0
    after = told(run)
    assert (before["files"], after["files"]) == (0, 1)
    assert told(run, "--clear")["removed_files"] == 1


def test_a_limit_from_the_environment_holds_when_prune_writes(run, kept, model, monkeypatch):
    monkeypatch.setenv("WRG_ONNX_CACHE_LIMIT", "1KiB")
    assert told(run, "--cache", kept.parent)["limit_bytes"] == 1024
    act = [value if value != "wr" else "act" for value in SHORT]
    assert run("prune", model, *act, "--force", "--cache", kept.parent).exit_code == 0
    (left,) = kept.parent.iterdir()
    assert left != kept, "what this run needs stays, what another one kept goes"


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("command", [("cache",), ("prune", "m.onnx", *SHORT)])
def test_a_limit_that_is_no_size_is_refused(run, monkeypatch, command):
    monkeypatch.setenv("WRG_ONNX_CACHE_LIMIT", "2 gigs")
    done = run(*command)
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: WRG_ONNX_CACHE_LIMIT must be a size such as 500MiB")
    assert done.stderr.count("\n") == 1
