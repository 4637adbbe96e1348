"""The folder of kept statistics: only what is ours is counted and removed, the oldest first."""

from __future__ import annotations

import os

import numpy as np
import pytest

from wrg_onnx.calibrate import Cache, cache_limit
from wrg_onnx.calibrate.cache import KEY_LENGTH, LAYERS_SUFFIX, NAME_LENGTH, POINT_SUFFIX
from wrg_onnx.calibrate.kept_rows import Store
from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.factors import ACTIVATION

ROW = {ACTIVATION: np.arange(1000.0)}


class Clock:
    """A time that moves when it is told to."""

    def __init__(self):
        self.seconds = 1_000_000.0

    def __call__(self):
        self.seconds += 1
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def opened(cache, name):
    return Store(cache, (name,), (ACTIVATION,), 1000)


def keep(cache, name):
    """Write a file of one row; return its path."""
    store = opened(cache, name)
    store.put(name, ROW)
    store.flush()
    assert not store.problem
    return store.path


def size_of_one(tmp_path):
    return keep(Cache(tmp_path / "measured"), "one").stat().st_size


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_an_absent_folder_holds_nothing(tmp_path):
    cache = Cache(tmp_path / "none")
    assert (cache.files(), cache.clear()) == ([], ())
    assert not (tmp_path / "none").exists()


def test_files_are_listed_with_size_and_last_use(tmp_path, clock):
    cache = Cache(tmp_path, now=clock)
    path = keep(cache, "one")
    (file,) = cache.files()
    assert (file.path, file.size, file.used) == (path, path.stat().st_size, clock.seconds)


def test_the_files_used_longest_ago_go_first(tmp_path, clock):
    size = size_of_one(tmp_path)
    folder = tmp_path / "kept"
    cache = Cache(folder, limit=3 * size, now=clock)
    first, second, third = (keep(cache, name) for name in ("a", "b", "c"))
    assert names(folder) == {first.name, second.name, third.name}
    opened(cache, "a")  # reading is a use
    fourth = keep(cache, "d")
    assert names(folder) == {first.name, third.name, fourth.name}


def test_a_file_in_use_stays_even_if_it_alone_exceeds_the_limit(tmp_path, clock):
    cache = Cache(tmp_path, limit=10, now=clock)
    keep(cache, "a")
    second = keep(cache, "b")
    assert names(tmp_path) == {second.name}


def test_files_of_other_processes_of_the_run_stay(tmp_path, clock):
    cache = Cache(tmp_path, limit=10, now=clock)
    for process in (0, 1):
        store = Store(cache, ("a model",), (ACTIVATION,), 1000, process)
        store.put(f"image {process}", ROW)
        store.flush()
    assert len(names(tmp_path)) == 2


def keep_layers(cache, digit, size):
    """Write a file of what layers make; return its path."""
    key = digit * 64
    path = cache.folder / f"{key[:32]}{LAYERS_SUFFIX}"
    cache.write(path, key, [("goals", np.zeros(size, np.uint8))])
    return path


def test_what_layers_make_goes_before_rows_do(tmp_path, clock):
    size = size_of_one(tmp_path)
    folder = tmp_path / "kept"
    cache = Cache(folder, limit=8 * size, now=clock)
    rows = keep(cache, "a")
    first = keep_layers(cache, "1", 3 * size)
    second = keep_layers(cache, "2", 3 * size)
    assert names(folder) == {rows.name, first.name, second.name}
    third = keep_layers(cache, "3", 3 * size)
    assert names(folder) == {rows.name, second.name, third.name}
    assert sorted(file.is_of_layers for file in cache.files()) == [False, True, True]


def test_room_for_layers_is_what_rows_leave(tmp_path, clock):
    cache = Cache(tmp_path, limit=100_000, now=clock)
    assert cache.room_for_layers() == 100_000
    path = keep(cache, "a")
    keep_layers(cache, "1", 1000)
    assert cache.room_for_layers() == 100_000 - path.stat().st_size


def test_arrays_are_asked_for_one_after_the_other(tmp_path):
    written = []

    def arrays():
        for name in "ab":
            written.append((name, sum(file.stat().st_size for file in tmp_path.iterdir())))
            yield name, np.zeros(100_000)

    Cache(tmp_path).write(tmp_path / f"{'1' * 32}{LAYERS_SUFFIX}", "1" * 64, arrays())
    assert [name for name, _ in written] == ["a", "b"]
    assert written[1][1] - written[0][1] > 700_000
    assert len(list(tmp_path.iterdir())) == 1


def foreign(folder, ours):
    """Write what must stay: by name, by content, by kind."""
    content = ours.read_bytes()
    stem = "0" * 32
    (folder / "mine.npz").write_bytes(content)  # another name
    (folder / f"{stem}.npz").write_bytes(content)  # a key that is not its name's
    (folder / f"{'1' * 32}.npz").write_bytes(b"PK no archive")
    np.savez(folder / f"{'2' * 32}.npz", rows=np.zeros(3))  # no key
    np.save(folder / "array.npy", np.zeros(3))
    (folder / f"{'2' * 32}.npz").touch()
    (folder / "notes.txt").write_text("mine")
    (folder / f"{ours.stem}.d").mkdir()
    (folder / f"{'3' * 32}.npz").mkdir()
    (folder / "elsewhere").mkdir()
    target = folder / "elsewhere" / ours.name
    target.write_bytes(content)
    (folder / f"{ours.stem}.7.npz").symlink_to(target)


def everything(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_clearing_removes_our_files_and_nothing_else(tmp_path):
    cache = Cache(tmp_path)
    ours = keep(cache, "one")
    foreign(tmp_path, ours)
    before = everything(tmp_path)
    (removed,) = cache.clear()
    assert removed.path == ours
    assert everything(tmp_path) == before - {ours.name}
    assert cache.files() == []


def test_the_limit_removes_nothing_that_is_not_ours(tmp_path, clock):
    cache = Cache(tmp_path, limit=0, now=clock)
    ours = keep(cache, "one")
    foreign(tmp_path, ours)
    before = everything(tmp_path)
    later = keep(cache, "two")
    assert everything(tmp_path) == before - {ours.name} | {later.name}


def test_files_of_an_older_format_are_ours(tmp_path):
    key = "ab" * 32
    np.savez(tmp_path / f"{key[:32]}.npz", key=key, images=["x"], rank=np.zeros((1, 3)))
    assert len(Cache(tmp_path).clear()) == 1


def test_a_file_that_another_run_removed_is_no_error(tmp_path, clock, monkeypatch):
    cache = Cache(tmp_path, limit=0, now=clock)
    path = keep(cache, "one")
    listed = cache.files()
    path.unlink()
    monkeypatch.setattr(Cache, "_named", lambda _: iter(listed))
    cache.touch(path)
    cache.shrink("f" * 64)
    assert cache.clear() == ()


def test_a_file_that_goes_before_it_is_removed_is_no_error(tmp_path, clock, monkeypatch):
    path = keep(Cache(tmp_path), "one")
    (listed,) = Cache(tmp_path).files()
    path.unlink()
    monkeypatch.setattr(Cache, "_named", lambda _: iter([listed]))
    monkeypatch.setattr(Cache, "files", lambda _: [listed])
    Cache(tmp_path, limit=0, now=clock).shrink("f" * 64)
    assert names(tmp_path) == set()


def test_files_that_are_not_ours_count_for_nothing(tmp_path, clock):
    size = size_of_one(tmp_path)
    folder = tmp_path / "kept"
    cache = Cache(folder, limit=2 * size, now=clock)
    first = keep(cache, "a")
    (folder / f"{'1' * 32}.npz").write_bytes(b"x" * 5 * size)
    second = keep(cache, "b")
    assert names(folder) == {first.name, second.name, f"{'1' * 32}.npz"}


def test_a_file_that_goes_while_it_is_listed_is_left_out(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    path = keep(cache, "one")
    monkeypatch.setattr(type(path), "is_file", lambda self: self.unlink() is None)
    assert cache.files() == []


def test_a_store_whose_file_goes_while_it_is_read_measures_anew_without_a_note(
    tmp_path, monkeypatch
):
    cache = Cache(tmp_path)
    path = keep(cache, "one")
    monkeypatch.setattr(type(path), "glob", lambda self, _: [self / path.name])
    path.unlink()
    store = opened(cache, "one")
    assert (len(store), store.problem) == (0, "")


def test_a_run_goes_on_after_the_folder_was_cleared(tmp_path):
    cache = Cache(tmp_path)
    store = opened(cache, "one")
    store.put("first", ROW)
    store.flush()
    assert len(cache.clear()) == 1
    store.put("second", ROW)
    store.flush()
    assert len(opened(cache, "one")) == 2


def test_a_file_that_cannot_be_removed_is_named(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    path = keep(cache, "one")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "unlink", refuse)
    with pytest.raises(OutputError, match=f"cannot remove '{path}': Permission denied"):
        cache.clear()


def test_a_folder_that_may_only_be_read_is_read(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    keep(cache, "one")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    store = opened(cache, "one")
    assert (len(store), store.problem) == (1, "")


@pytest.mark.parametrize(
    ("text", "size"),
    [(None, 2 * 2**30), ("0", 0), ("1000", 1000), ("5KiB", 5120), ("500 MiB", 500 * 2**20),
     (" 3GiB ", 3 * 2**30)],
)  # fmt: skip
def test_the_limit_is_2_gib_or_what_the_environment_says(monkeypatch, text, size):
    if text is None:
        monkeypatch.delenv("WRG_ONNX_CACHE_LIMIT", raising=False)
    else:
        monkeypatch.setenv("WRG_ONNX_CACHE_LIMIT", text)
    assert cache_limit() == size


@pytest.mark.parametrize("text", ["", "-1", "2GB", "1.5GiB", "much"])
def test_a_limit_that_is_no_size_is_refused(monkeypatch, text):
    monkeypatch.setenv("WRG_ONNX_CACHE_LIMIT", text)
    with pytest.raises(UsageError, match="WRG_ONNX_CACHE_LIMIT must be a size"):
        cache_limit()


@pytest.fixture
def no_mask():
    """Let new files be for everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_mask")
def test_what_is_kept_is_for_this_user_alone(tmp_path):
    folder = tmp_path / "kept"
    path, text = keep(Cache(folder), "one"), folder / f"{'0' * NAME_LENGTH}{POINT_SUFFIX}"
    Cache(folder).write_text(text, "0" * KEY_LENGTH, "{}")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in (path, text)] == [0o600, 0o600]


@pytest.mark.usefixtures("no_mask")
def test_a_folder_that_was_there_stays_for_whom_it_is(tmp_path):
    (tmp_path / "kept").mkdir(0o755)
    path = keep(Cache(tmp_path / "kept"), "one")
    assert path.parent.stat().st_mode & 0o777 == 0o755
    assert path.stat().st_mode & 0o777 == 0o600
