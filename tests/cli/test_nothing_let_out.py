"""No command asks for a network, or writes but its outputs, its cache and temporary files."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import traced
from programs import environment, line_of
from required import require

SHORT = ("--size", 32, "--samples", 4)
COMMANDS = {
    "inspect": (("inspect", "m.onnx", "--size", 32), ()),
    "prune": (("prune", "m.onnx", "--ratio", 0.3, *SHORT, "--cache", "{kept}"),
              ("m.pruned.onnx",)),
    "prune sel": (("prune", "m.onnx", "--ratio", 0.3, "--criterion", "sel", *SHORT, "--no-cache",
                   "--int8", "-o", "out.onnx"), ("out.onnx",)),
    "validate": (("validate", "m.onnx", "m.onnx", *SHORT), ()),
    "bench": (("bench", "m.onnx", "--size", 32, "--rounds", 2, "--warmup", 0, "--profile"), ()),
    "sweep": (("sweep", "m.onnx", "--ratios", "0.2,0.4", "--criteria", "l1", *SHORT, "--cache",
               "{kept}", "--plot", "sweep.svg"), ("sweep.svg",)),
    "finetune": (("finetune", "m.onnx", "--teacher", "m.onnx", "--epochs", 1, *SHORT,
                  "--checkpoint", "run.safetensors"), ("m.tuned.onnx", "run.safetensors")),
    "export": (("export", "net:make", "--input", "1x3x8x8"), ("make.onnx",)),
}  # fmt: skip
each_command = pytest.mark.parametrize(("command", "made"), COMMANDS.values(), ids=COMMANDS)
OF_MACHINES = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL",
               "CODEBUILD_BUILD_ID", "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR",
               "BITBUCKET_BUILD_NUMBER", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI",
               "ORT_RUNNING_UNIT_TESTS")  # fmt: skip
"""With one of these ONNX Runtime is silent of its own accord, and a test would show nothing."""


class Place:
    """Folders of a user who has nothing yet."""

    def __init__(self, folder):
        self.folder = folder
        self.work, self.home, self.temporary, self.kept = (
            folder / name for name in ("work", "home", "temporary", "kept")
        )
        for path in (self.work, self.home, self.temporary):
            path.mkdir()
        (folder / "m.onnx").rename(self.work / "m.onnx")
        (self.work / "net.py").write_text(
            "from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 3)\n"
        )
        self.env = environment(
            HOME=str(self.home), TMPDIR=str(self.temporary), PYTHONDONTWRITEBYTECODE="1",
            **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")),
            **dict.fromkeys((*OF_MACHINES, "ORT_DISABLE_TELEMETRY")),
        )  # fmt: skip

    def arguments(self, command):
        return [str(part).format(kept=self.kept) for part in command]

    def check(self, done, written, made):
        """Fail where something was written that was not asked for, or is still there."""
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        allowed = (self.work, self.temporary, self.kept)
        files = [path for path in written if not traced.NO_FILES.fullmatch(path)]
        assert [path for path in files if not any(map(Path(path).is_relative_to, allowed))] == []
        assert names(self.home) == []
        assert names(self.temporary) == []
        assert names(self.work) == sorted(["m.onnx", "net.py", *made])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def place(request, folder):
    request.getfixturevalue("model")
    return Place(folder)


def by_strace(place, command):
    line = line_of(place.arguments(command))
    return traced.strace(line, place.work, place.folder / "log", place.env)


def by_filter(place, command):
    log = place.folder / "log"
    line = [sys.executable, traced.__file__, log, *place.arguments(command)]
    done = subprocess.run(
        line, cwd=place.work, env=place.env, capture_output=True, text=True, check=False
    )
    assert done.returncode != -signal.SIGSYS, "a network was asked for"
    return done, [], set(log.read_text().splitlines())


needs_filter = pytest.mark.skipif(not traced.CAN_FILTER, reason="no filter of system calls here")


@each_command
def test_no_network_is_asked_for_and_nothing_written_beside_what_was_asked_for(
    place, command, made
):
    require(traced.STRACE or traced.CAN_FILTER, "neither strace (`make strace`) nor filters here")
    done, sockets, written = (by_strace if traced.STRACE else by_filter)(place, command)
    assert sockets == []
    place.check(done, written, made)


@needs_filter
def test_the_same_is_found_without_strace(place):
    command, made = COMMANDS["prune"]
    done, _, written = by_filter(place, command)
    place.check(done, written, made)
    assert str(place.kept) in written


@needs_filter
def test_the_filter_ends_what_opens_a_socket_in_a_process_it_starts_too():
    asks = "import socket; socket.socket(); print('opened')"
    starts = f"import subprocess, sys; print(subprocess.call([sys.executable, '-c', {asks!r}]))"
    found = []
    for code in (asks, starts):
        folder = str(Path(traced.__file__).parent)
        begin = f"import sys; sys.path.insert(0, {folder!r}); import traced; "
        begin += "traced.end_at_sockets(); "
        done = subprocess.run(
            [sys.executable, "-c", begin + code], capture_output=True, text=True, check=False
        )
        found.append((done.returncode, done.stdout))
    assert found == [(-signal.SIGSYS, ""), (0, f"{-signal.SIGSYS}\n")]


def test_without_a_cache_option_what_was_measured_is_kept_in_the_users_cache_folder(place):
    command = place.arguments(("prune", "m.onnx", "--ratio", 0.3, *SHORT, "--no-evaluate"))
    done = subprocess.run(
        line_of(command), cwd=place.work, env=place.env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = names(place.home)
    assert found[:2] == [".cache", ".cache/wrg-onnx"]
    assert all(name.startswith(".cache/wrg-onnx/") for name in found[2:])
