"""What a program opens to write, and the networks it asks for: by strace or a filter of calls.

As a program (``python traced.py LOG ARGUMENTS``) it runs the command line under such a filter,
which ends it and all that it starts at the first socket of a network, and notes in LOG what Python
opens to write.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

STRACE = shutil.which("strace")
CALLS = (
    "socket", "open", "openat", "openat2", "creat", "mkdir", "mkdirat", "rename", "renameat",
    "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate", "mknod", "mknodat",
)  # fmt: skip
NO_FILES = re.compile(r"/dev/(null|tty|pts/\d+|shm/\S+)|/proc/\S+|(pipe|anon_inode|socket):.*")
"""What is opened for writing and is no file that stays."""


def strace(command, folder, log, env):
    """Run a program under strace.

    Args:
        command: Its arguments.
        folder: Where it runs.
        log: A folder for what strace writes.
        env: Its environment.

    Returns:
        How it ended, the sockets of networks that it asked for (not those of this machine, where
        the system looks up the user's name), and the paths that it made or wrote to.
    """
    log.mkdir()
    traced = [STRACE, "-ff", "-qq", "-y", "-s", "4096", "-e", f"trace={','.join(CALLS)}",
              "-e", "signal=none", "-o", log / "calls", *command]  # fmt: skip
    done = subprocess.run(
        traced, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=600
    )
    lines = [line for path in log.iterdir() for line in path.read_text().splitlines()]
    sockets = [line for line in lines if re.match(r"socket\((?!AF_UNIX)", line)]
    written = {path for line in lines for path in _written(line, folder)}
    return done, sockets, written


def _written(line, folder):
    """Yield what a call made or may write to, if it did not fail."""
    call, _, rest = line.partition("(")
    if call == "socket" or re.search(r"= -1 E[A-Z]+ \(", rest):
        return
    if call in ("open", "openat", "openat2", "creat"):
        if call == "creat" or re.search(r"O_WRONLY|O_RDWR|O_CREAT", rest):
            opened = re.search(r"= (\d+<(.*?)>(\(deleted\))?|\?)$", rest)
            yield from [opened[2]] if opened[2] else []
        return
    for found in re.finditer(r'(?:<([^>]*)>, )?"((?:[^"\\]|\\.)*)"', rest):
        yield str(Path(found[1] or folder, found[2]))


NUMBERS = {"x86_64": 41, "aarch64": 198}
"""The number of the call ``socket``."""

CAN_FILTER = sys.platform == "linux" and platform.machine() in NUMBERS


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte),
                ("k", ctypes.c_uint))  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def end_at_sockets():
    """Let the system end this process, and those that it starts, if one asks for a network."""
    load, equal, give = 0x20, 0x15, 0x06
    kill, allow = 0x80000000, 0x7FFF0000
    first_argument = 16
    code = [(load, 0, 0, 0), (equal, 0, 3, NUMBERS[platform.machine()]),
            (load, 0, 0, first_argument), (equal, 1, 0, socket.AF_UNIX), (give, 0, 0, kill),
            (give, 0, 0, allow)]  # fmt: skip
    instructions = (_Instruction * len(code))(*code)
    program = _Program(len(code), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    for what, value, rest in ((38, 1, 0), (22, 2, ctypes.byref(program))):
        if libc.prctl(what, value, rest, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def note_writes(log):
    """Note in a file what Python opens to write from now on."""
    notes = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hear(event, arguments):
        opens = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (opens or event == "os.mkdir") and not isinstance(arguments[0], int):
            os.write(notes, f"{Path.cwd() / os.fspath(arguments[0])}\n".encode())

    sys.addaudithook(hear)


if __name__ == "__main__":
    note_writes(sys.argv[1])
    end_at_sockets()
    sys.argv[:2] = ["wrg-onnx"]
    from wrg_onnx.cli.guard import run

    sys.exit(run())
