"""Change files that the program reads, for as long as you like, and look at how it answers.

    python tools/fuzz/files.py --minutes 60

Models, archives and images of data, what is kept between runs, and checkpoints, each changed in its
bytes or in what its format makes of them, are given to the commands that read them. Each run has a
process of its own, with limits of time and memory. A run is a find if a signal ended it, if it took
too long or too much, showed a traceback or a control character, said more than a line of an error,
left half a file or a temporary one, wrote a model that does not load, or took a kept file for true
that was not. Finds are kept, one of each kind, with the command and what it said.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from forked import BASE, Ended, Limits, forked
from targets import OUTPUT, Kept, copy_base, write_bases
from wrg_onnx.cli.guard import run as program

ROOT = Path(__file__).parents[2]

LIMITS = Limits(seconds=30, memory_bytes=2**30)
"""Of the run of a command. A bomb is to be refused within 10 seconds; of a model that is none, the
judging takes as long as it is told to."""

PREPARATION = Limits(seconds=120, memory_bytes=2**32)
"""For runs on files as they should be."""

KNOWN = {0: "done", 1: "refused", 2: "refused as usage", 4: "proven, but not finished"}
"""Exit codes that a changed file may lead to. A proof that fails is no such one."""

REFUSALS = (1, 2)

CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]")
"""What is not to reach a terminal; bidi marks are some."""

OWN = ("stdout", "stderr", BASE)
"""The files that are not the program's."""

FAULT = "wrg-onnx-fault-"
"""How files begin that hold what a report of a fault needs."""

MOST_KEPT = 200
"""Of finds of different kinds."""


def run_program(command: Sequence[str], folder: Path, limits: Limits) -> Ended:
    """Run a command of the program in a folder."""

    def call() -> None:
        os.environ["TMPDIR"] = str(folder / "tmp")
        os.environ["XDG_CACHE_HOME"] = str(folder / "home")
        tempfile.tempdir = None
        sys.argv = ["wrg-onnx", *command]
        sys.exit(program())

    (folder / "tmp").mkdir(exist_ok=True)
    return forked(call, folder, limits)


def prepare(command: Sequence[str], folder: Path) -> None:
    """Run a command that is to go well.

    Raises:
        RuntimeError: If it does not.
    """
    ended = run_program(command, folder, PREPARATION)
    if ended.code:
        said = ended.err.decode(errors="replace")
        raise RuntimeError(f"wrg-onnx {' '.join(command)} ended with {ended.code}: {said}")
    _clear(folder)


def problems(ended: Ended, folder: Path, before: frozenset[Path]) -> Iterator[str]:
    """Say what is wrong with how a run ended.

    Args:
        ended: The run.
        folder: Where it ran.
        before: The files that were there.
    """
    if ended.peak_bytes > LIMITS.memory_bytes or b"out of memory" in ended.err:
        yield "took too much memory"
    if ended.is_late:
        yield "took too long"
        return  # what it was about to say, and what it has left behind, is no fault
    if ended.code < 0:
        yield f"killed by {signal.Signals(-ended.code).name}"
    elif ended.code not in KNOWN:
        yield f"exit code {ended.code}"
    yield from _bad_words(ended)
    yield from _bad_files(ended, folder, before)


def _bad_words(ended: Ended) -> Iterator[str]:
    if b"Traceback (most recent call last)" in ended.err:
        yield f"traceback: {_last_line(ended.err)}"
    if CONTROL.search(ended.out + ended.err):
        yield "a control character"
    lines = [line for line in ended.err.splitlines() if line.strip()]
    if ended.code == 1 and (len(lines) != 1 or not lines[0].startswith(b"Error: ")):
        yield f"not one line: {_last_line(ended.err)}"


def _bad_files(ended: Ended, folder: Path, before: frozenset[Path]) -> Iterator[str]:
    written = {path for path in folder.rglob("*") if path.is_file()} - before
    for path in sorted(written):
        inside = path.relative_to(folder)
        if path.name.startswith(FAULT):
            continue  # what the exit code tells of, and the one line
        if path.suffix == ".part" or inside.parts[0] == "tmp":
            yield f"left behind: {re.sub('[0-9a-z_]{8}', '*', path.name)}"
        elif path.name == OUTPUT and ended.code not in (0, 4):
            yield f"an output in spite of exit code {ended.code}"
    if (folder / OUTPUT) in written:
        yield from _model_problem(folder)


def _model_problem(folder: Path) -> Iterator[str]:
    """Say what is wrong with the model that was written."""

    def load() -> None:
        onnx.checker.check_model(str(folder / OUTPUT), full_check=True)

    ended = forked(load, folder, PREPARATION)
    if ended.code:
        yield f"an output that does not load: {_last_line(ended.err)}"


def _last_line(text: bytes) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return re.sub(r"\d+|0x[0-9a-f]+|'[^']*'", "*", lines[-1])[:160] if lines else "nothing"


def _taken_for_true(ended: Ended, folder: Path, wanted: bytes | None, kept: Kept) -> Iterator[str]:
    """Say whether what was kept changed the result.

    Args:
        ended: The run.
        folder: Where it ran.
        wanted: The model that it writes where nothing is changed; None if it writes none.
        kept: What the changed file is for.
    """
    if ended.code and not (kept is Kept.STATE and ended.code in REFUSALS):
        yield f"exit code {ended.code} because of a kept file: {_last_line(ended.err)}"
    elif not ended.code and wanted is not None and (folder / OUTPUT).read_bytes() != wanted:
        yield "a kept file was taken for true, and changed the result"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _clear(folder: Path) -> None:
    for name in OWN:
        (folder / name).unlink()
    for name in ("tmp", "home"):
        shutil.rmtree(folder / name, ignore_errors=True)


class Fuzzer:
    """Changes files, and looks at what comes of it.

    Args:
        folder: Where to work.
        keep: Where finds go.
        seed: Of what is drawn.
    """

    def __init__(self, folder: Path, keep: Path, seed: int) -> None:
        self._folder, self._keep, self._seed = folder, keep, seed
        self._targets = write_bases(folder / "bases", prepare)
        self._wanted: dict[tuple[str, ...], bytes | None] = {}
        self.ends: Counter[tuple[str, str]] = Counter()
        self.finds: Counter[str] = Counter()

    def one(self, number: int) -> None:
        """Make one case, of which everything follows from the seed and its number."""
        draw = random.Random(f"{self._seed} {number}")  # noqa: S311 - no secret
        shares = [target.share for target in self._targets.values()]
        (name,) = draw.choices([*self._targets], shares)
        target = self._targets[name]
        base, command = draw.choice(target.bases), draw.choice(target.commands)
        wanted = None if target.kept is None else self._undisturbed(base, command(base))
        folder = copy_base(base, self._folder / "case")
        changed = draw.choice(sorted(folder.glob(target.changed)))
        changed.write_bytes(draw.choice(target.changes)(changed.read_bytes(), draw))
        case = copy_base(folder, self._folder / "run")  # the other is kept as it was
        before = frozenset(case.rglob("*")) | {case / name for name in OWN}
        ended = run_program(command(case), case, LIMITS)
        found = [*problems(ended, case, before)]
        if target.kept is not None and not found:
            found += _taken_for_true(ended, case, wanted, target.kept)
        self.ends[name, "find" if found else KNOWN[ended.code]] += 1
        for problem in found:
            self._keep_find(f"{name}, {command(case)[0]}: {problem}", folder, command(case), ended)

    def _undisturbed(self, base: Path, command: Sequence[str]) -> bytes | None:
        """Return the model that a command writes if nothing is changed; None if it writes none."""
        key = (str(base), *command)
        if key not in self._wanted:
            folder = copy_base(base, self._folder / "undisturbed")
            prepare(command, folder)
            output = folder / OUTPUT
            self._wanted[key] = output.read_bytes() if output.exists() else None
        return self._wanted[key]

    def _keep_find(self, kind: str, folder: Path, command: Sequence[str], ended: Ended) -> None:
        self.finds[kind] += 1
        if self.finds[kind] > 1 or len(self.finds) > MOST_KEPT:
            return
        place = self._keep / f"{len(self.finds)}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder, place)
        details = (self._folder / "run" / "tmp").glob(f"{FAULT}*")
        said = "\n".join(
            [ended.err.decode(errors="replace"), *(one.read_text() for one in details)]
        )
        text = f"{kind}\n\nwrg-onnx {' '.join(command)}\n\nexit code {ended.code}\n\n{said}\n"
        (place / "find.txt").write_text(text, encoding="utf-8")
        print(f"{place.name}: {kind}", flush=True)


def import_all() -> None:
    """Import what commands import when they need it, but run nothing: threads do not fork."""
    for name in ("prune", "inspect", "sweep", "finetune", "validate"):
        importlib.import_module(f"wrg_onnx.cli.{name}")
    for name in ("torch", "onnxruntime", "safetensors.torch", "scipy.linalg", "rich.progress"):
        importlib.import_module(name)


def main() -> None:
    """Change files until the time is over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="The number of the first case.")
    parser.add_argument("--cases", type=int, help="How many, whatever the time.")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz")
    arguments = parser.parse_args()
    import_all()
    end = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory(prefix="wrg-onnx-fuzz-") as folder:
        fuzzer = Fuzzer(Path(folder), arguments.keep, arguments.seed)
        number = arguments.first
        last = None if arguments.cases is None else number + arguments.cases
        while number != last if last is not None else time.monotonic() < end:
            fuzzer.one(number)
            number += 1
            if number % 500 == 0:
                print(f"{number} files, {fuzzer.finds.total()} finds", flush=True)
    print(f"{number - arguments.first} files")
    for (target, verdict), count in sorted(fuzzer.ends.items()):
        print(f"{count} {target}: {verdict}")
    for kind, count in fuzzer.finds.most_common():
        print(f"{count} times: {kind}")
    sys.exit(1 if fuzzer.finds else 0)


if __name__ == "__main__":
    main()
