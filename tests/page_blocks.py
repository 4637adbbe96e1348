"""What pages of docs/ show as commands: found, run one after the other, and held to their output.

A block of kind ``sh`` or ``python`` is run. One of kind ``text`` whose first line starts with ``$``
is a command and what it prints, which fails if that is an error, and a plain one behind code of
Python is what that prints. What is not run has ``<!-- example: the reason -->`` in the line before
it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

COMMANDS = ("sh", "bash", "console", "shell", "python", "py")
"""Kinds of blocks that hold what is run; what a page runs is of kind ``sh`` or ``python``."""

_BLOCK = re.compile(
    r"(?:^<!-- example: (?P<reason>[^\n]*?) ?-->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

# Times are those of the machine, and so is what is said of them and of its kernels.
_OF_THE_MACHINE = re.compile(
    r"^latency .*\n|Speed-up on .*?\)\.\s*|Note: this machine is noisy.*?\(taskset\)\.\s*"
    r"|Note: kernels here take .*?counts that\s+divide\.\s*",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its text, and why it is not run, if it is not."""

    kind: str
    text: str
    reason: str | None

    @property
    def is_command(self):
        """Whether a reader would type it: a command or code, rather than what is printed."""
        return self.kind in COMMANDS or self.text.startswith("$ ")


def blocks_of(page):
    """Return the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    return [Block(m["kind"], m["text"], m["reason"]) for m in _BLOCK.finditer(text)]


def folder_for(page, folder):
    """Fill a folder with what pages take for granted; return the environment to run them in."""
    folder.joinpath("models").symlink_to(ROOT / "models")
    shutil.copy(ROOT / "models" / "tiny_unet.onnx", folder / "model.onnx")
    folder.joinpath("build").mkdir()
    folder.joinpath("docs").mkdir()
    folder.joinpath("docs", "schema").symlink_to(DOCS / "schema")
    programs = folder / "bin"
    programs.mkdir()
    for name, what in (("wrg-onnx", "-m wrg_onnx "), ("python", "")):
        start = programs / name
        start.write_text(f'#!/bin/sh\nexec "{sys.executable}" {what}"$@"\n', encoding="utf-8")
        start.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
    }
    if not any("-o my_images" in block.text for block in blocks_of(page)):
        images = "wrg-onnx tsod make --count 24 --size 160 -o my_images"
        assert run(images, folder, environment)[0] == 0
    return environment


def run_page(page, folder):
    """Run all that a page shows; return how many blocks were run."""
    environment = folder_for(page, folder)
    printed, count = None, 0
    for block in blocks_of(page):
        before, printed = printed, None
        if block.reason is not None:
            continue
        if block.kind == "python":
            code, printed = run([sys.executable, "-c", block.text], folder, environment)
        elif block.kind == "sh":
            code, printed = run(block.text, folder, environment)
            printed = None if code == 0 else printed
        elif block.text.startswith("$ "):
            command, expected = command_and_output(block.text)
            code, found = run(command, folder, environment)
            assert (code != 0) == expected.startswith("Error: "), (command, found)
            hold(found, expected)
            code = 0
        else:
            assert before is not None, f"{page.name}: nothing printed {block.text!r}"
            hold(before, block.text)
            continue
        assert code == 0, (block.text, printed)
        count += 1
    return count


def run(command, folder, environment):
    """Run a command or a script; return its exit code, and all that it printed."""
    line = ["sh", "-e", "-c", command] if isinstance(command, str) else command
    done = subprocess.run(
        line, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout


def command_and_output(text):
    """Divide a block into its command, which a backslash continues, and what is printed."""
    lines = text.removeprefix("$ ").splitlines(keepends=True)
    last = next(number for number, line in enumerate(lines) if not line.endswith("\\\n"))
    return "".join(lines[: last + 1]), "".join(lines[last + 1 :])


def hold(found, expected):
    """Hold what was printed to what the page says; a line of three dots stands for any lines."""
    found = plain(found)
    parts = [plain(part) for part in re.split(r"^\.\.\.$", expected, flags=re.MULTILINE)]
    if len(parts) == 1:
        assert found == parts[0]
        return
    at = 0
    for part in parts:
        assert part in found[at:], (part, found)
        at = found.index(part, at) + len(part)


def plain(text):
    """Return a text without what differs from machine to machine, in one line."""
    return " ".join(_OF_THE_MACHINE.sub("", text).split())
