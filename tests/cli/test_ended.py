"""Signals and full disks end a command in one line, and leave nothing half written."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import environment, run_program, start_program

L1 = ("--ratio", 0.5, "--criterion", "l1", "--recover", "none", "--no-cache")

WRITING = """
import sys, time
from wrg_onnx.files import renamed, scratch_folder
from wrg_onnx.pipeline import prune
def slow(graph, path, **_):
    with scratch_folder() as folder, renamed(path) as part:
        (folder / "a").write_bytes(b"half")
        part.write_bytes(b"half")
        print("writing", file=sys.stderr, flush=True)
        time.sleep(60)
prune.save = slow
"""


def everything(folder):
    """List what is there, but for what ONNX Runtime puts into the place for temporary files."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".ses"
    )


@pytest.fixture
def writing(model, folder):
    """Start a run that is busy writing its output; there is one already."""
    (folder / "tmp").mkdir()
    (folder / "out.onnx").write_bytes(b"old")
    process = start_program(
        "prune", model, "out.onnx", "--force", *L1,
        before=f"exec({WRITING!r}); ", env=environment(TMPDIR=str(folder / "tmp")),
    )  # fmt: skip
    assert process.stderr.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


BEFORE = ["m.onnx", "out.onnx", "tmp"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGTERM, "Ended by SIGTERM."),
        (signal.SIGHUP, "Ended by SIGHUP."),
        (signal.SIGINT, "Interrupted."),
    ],
)
def test_a_signal_ends_a_command_at_once_and_nothing_half_written_stays(
    writing, folder, number, said
):
    assert len(everything(folder)) == len(BEFORE) + 3
    writing.send_signal(number)
    out, err = writing.communicate(timeout=20)
    assert (writing.returncode, out) == (128 + number, "")
    assert err.strip() == said
    assert everything(folder) == BEFORE
    assert (folder / "out.onnx").read_bytes() == b"old"


def test_what_a_killed_command_left_goes_with_the_next_one(writing, folder, run, monkeypatch):
    writing.kill()
    writing.wait()
    assert len(everything(folder)) == len(BEFORE) + 3
    assert (folder / "out.onnx").read_bytes() == b"old"
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run("prune", "m.onnx", "other.onnx", *L1).exit_code == 0
    assert [name for name in everything(folder) if ".part" in name] == []
    assert everything(folder / "tmp") == []


def test_the_folder_of_torch_that_a_killed_command_left_goes_too(model, folder, run, monkeypatch):
    (folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)  # torch has set it, once imported
    code = (
        "import os\nfrom wrg_onnx.cli.command import _torch_folder_removed\n"
        "with _torch_folder_removed():\n"
        "    os.mkdir(os.environ['TORCHINDUCTOR_CACHE_DIR'])\n    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(everything(folder / "tmp")) == 1
    assert run("prune", model, "other.onnx", *L1).exit_code == 0
    assert everything(folder / "tmp") == []


def test_a_signal_that_is_ignored_stays_ignored():
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    sends = "import os; os.kill(os.getpid(), signal.SIGHUP); "
    code = f"{ignore}from wrg_onnx.cli import guard; guard._Interrupts().listen(); {sends}print(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_a_signal_while_a_library_is_imported_ends_the_program_too(model):
    sends = (
        "import os, signal, threading; threading.Timer(.3, os.kill, (os.getpid(), 15)).start(); "
    )
    done = run_program("prune", model, *L1, before=sends)
    assert (done.returncode, done.stderr.strip()) == (143, "Ended by SIGTERM.")


# --- outputs that cannot be written ---------------------------------------------------------------


def outputs(folder):
    """Return outputs that cannot be written, with what is said of them."""
    (folder / "dangling.onnx").symlink_to("/nowhere/m.onnx")
    (folder / "full.onnx").symlink_to("/dev/full")
    (folder / "file").touch()
    (folder / "folder.onnx").mkdir()
    return {
        "dangling.onnx": "is a link to '/nowhere/m.onnx', which is not there",
        "full.onnx": "is a device or a pipe, not a file",
        "folder.onnx": "is a folder",
        "file/m.onnx": "is not a folder that can be written to",
        f"{'n' * 300}.onnx": "has 305 bytes, and its file system takes 255",
        "/proc/m.onnx": "/proc",
    }


def commands(model, output):
    return (
        ("prune", model, "-o", output, *L1, "--force"),
        ("finetune", model, "-o", output, "--force"),
    )


def test_an_output_that_cannot_be_written_is_one_line_before_the_work(
    run, model, folder, monkeypatch
):
    monkeypatch.setattr("wrg_onnx.pipeline.source.load", None)  # nothing may be read
    cannot = outputs(folder)
    before = everything(folder)
    for output, words in cannot.items():
        for command in commands(model, output):
            done = run(*command)
            (line,) = done.stderr.splitlines()
            assert (done.exit_code, done.stdout) == (1, ""), command
            assert words in line, command
    assert everything(folder) == before


def test_a_checkpoint_in_the_place_of_a_device_is_refused(refused, model):
    line = refused("finetune", model, "--checkpoint", "/dev/full", "--force")
    assert "'/dev/full' is a device or a pipe, not a file; --checkpoint names another" in line
    assert Path("/dev/full").is_char_device()


def test_a_disk_that_is_full_is_told_before_the_work(refused, model, monkeypatch):
    real = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda _: real._replace(free=100))
    for command in (
        ("prune", model, "-o", "out.onnx", *L1),
        ("prune", model, "-o", "out.onnx", "--ratio", 0.5, "--budget", "macs", "--size", 32),
        ("finetune", model, "-o", "out.onnx", "--size", 32),
        ("sweep", model, "--ratios", "0.2,0.3", "--out-dir", "cuts", "--size", 32, "--samples", 2),
    ):
        line = refused(*command)
        assert "0.0 MiB free: free some, or name a place elsewhere" in line


def limited(size):
    """Let a process write no larger files than so many bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_gets_full_meanwhile_is_one_line_and_the_old_output_stays(model, folder):
    (folder / "out.onnx").write_bytes(b"old")
    before = everything(folder)
    done = subprocess.run(
        [sys.executable, "-m", "wrg_onnx", "prune", model, "out.onnx", "--force", *map(str, L1)],
        capture_output=True, text=True, check=False, preexec_fn=limited(2000),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "Error: 'out.onnx': cannot be written: File too large\n"
    assert (folder / "out.onnx").read_bytes() == b"old"
    assert everything(folder) == before


def test_a_folder_that_vanishes_meanwhile_is_made_again(run, model, folder, monkeypatch):
    from wrg_onnx.pipeline import prune

    real = prune.save
    (folder / "out").mkdir()

    def save(*given, **named):
        (folder / "out").rmdir()
        return real(*given, **named)

    monkeypatch.setattr(prune, "save", save)
    assert run("prune", model, "-o", "out/m.onnx", *L1).exit_code == 0
    assert everything(folder / "out") == ["m.onnx"]


def test_a_file_in_the_place_of_a_folder_that_vanished_is_one_line(run, model, folder, monkeypatch):
    from wrg_onnx.pipeline import prune

    real = prune.save
    (folder / "out").mkdir()

    def save(*given, **named):
        (folder / "out").rmdir()
        (folder / "out").touch()
        return real(*given, **named)

    monkeypatch.setattr(prune, "save", save)
    done = run("prune", model, "-o", "out/m.onnx", *L1)
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "'out/m.onnx': '" in line
    assert "is not a folder that can be written to" in line
