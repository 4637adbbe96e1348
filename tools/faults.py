"""Kill runs at random moments, and hold what is left against what is promised.

    python tools/faults.py --kills 100

Each kill ends one run of `prune`, `finetune`, `sweep` or `prune --external-data` by SIGKILL,
SIGTERM or SIGINT: half of them at any moment, half while a file is being written. Then

* every output is the whole old file or the whole new one, and ONNX Runtime runs it;
* after SIGTERM and SIGINT nothing half written is left, and the run has ended within seconds;
* the same command, run again, goes on to the end: with the outputs of a run that nobody disturbed,
  to the byte, and nothing half written is left, of SIGKILL neither.

The first kill after which that is not so ends this; its folder is kept. docs/reliability.md tells
what is promised.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from wrg_onnx.graph import fingerprint, load, runtime

ROOT = Path(__file__).parent.parent
NET = """<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3,H,W] image) => (float[N,1,H,W] map) {
    a = Conv<pads = [1, 1, 1, 1]>(image, w1)  b = Relu(a)
    c = Conv<pads = [1, 1, 1, 1]>(b, w2)  d = Relu(c)
    e = Conv<pads = [1, 1, 1, 1]>(d, w3)  map = Sigmoid(e) }"""

WEIGHTS = {"w1": (48, 3, 3, 3), "w2": (48, 48, 3, 3), "w3": (1, 48, 3, 3)}

MODEL = "../../net.onnx"
"""From the folder of a run."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

SOON_S = 180.0
"""How long a run may take to end after SIGTERM: what it computes at the moment is not cut short."""

HALF = ("*.part", "wrg-onnx-*")
"""Names of what is half written, hidden or not."""


class BrokenPromiseError(Exception):
    """What is left of a run is not what is promised."""


@dataclass(frozen=True, slots=True)
class Case:
    """A run that is killed.

    Attributes:
        name: What it is called.
        old: The command that makes what is there before; None for nothing.
        command: The command. It is run again as it is.
        outputs: The models that it writes.
        result: Takes from its JSON what must be the same however often it was killed.
    """

    name: str
    old: tuple[str, ...] | None
    command: tuple[str, ...]
    outputs: tuple[str, ...]
    result: Callable[[dict[str, Any]], object]


_FEW = ("--samples", "4", "--size", "64", "--json", "--cache", "cache")


def _prune(ratio: float, *further: str) -> tuple[str, ...]:
    return ("prune", MODEL, "out/m.onnx", "--ratio", str(ratio), "--force", *_FEW, *further)


CASES = (
    Case(
        "prune", _prune(0.2), _prune(0.5, "--no-evaluate"), ("out/m.onnx",),
        lambda found: (found["after"], found["equivalence"], found["recovery"]),
    ),
    Case(
        "prune, weights beside", _prune(0.2, "--external-data"),
        _prune(0.5, "--external-data", "--no-evaluate"), ("out/m.onnx",),
        lambda found: (found["after"], found["equivalence"], found["recovery"]),
    ),
    Case(
        "finetune", _prune(0.2),
        ("finetune", MODEL, "-o", "out/m.onnx", "--samples", "8", "--size", "64", "--epochs", "3",
         "--batch", "2", "--no-evaluate", "--teacher", MODEL, "--force", "--json",
         "--checkpoint", "out/run.safetensors", "--resume"), ("out/m.onnx",),
        lambda found: (found["history"], found["between"], found["best_epoch"]),
    ),
    Case(
        "sweep", None,
        ("sweep", MODEL, "--ratios", "0.3,0.5", "--criteria", "l1", "--out-dir", "out", *_FEW),
        ("out/net.l1.0.3.onnx", "out/net.l1.0.5.onnx"),
        lambda found: [
            (point["ratio"], point["cut"]["reached"], point["cut"]["change"], point["cut"]["cost"])
            for point in found["points"]
        ],
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What a run leaves that nobody disturbs.

    Attributes:
        old: Fingerprints of the outputs before it, by name.
        new: Fingerprints behind it.
        files: Their bytes.
        result: Of its JSON.
        seconds: How long it takes.
    """

    old: dict[str, str]
    new: dict[str, str]
    files: dict[str, bytes]
    result: object
    seconds: float


def make_model(path: Path) -> None:
    """Write a small net that makes a map of saliency, of random weights."""
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(NET)
    for name, shape in WEIGHTS.items():
        weight = rng.standard_normal(shape, np.float32) / np.sqrt(np.prod(shape[1:]))
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(weight.astype(np.float32), name)
        )
    onnx.save(model, path)


def start(case_folder: Path, command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a run in a folder, with temporary files and a cache of its own."""
    temporary = case_folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "wrg_onnx", *command], cwd=case_folder, text=True,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def finish(case_folder: Path, command: Sequence[str]) -> dict[str, Any]:
    """Run a command to its end; return its JSON."""
    process = start(case_folder, command)
    out, err = process.communicate()
    if process.returncode:
        raise BrokenPromiseError(f"exit code {process.returncode}: {err.strip()[-800:]}")
    found: dict[str, Any] = json.loads(out)
    return found


def half_written(folder: Path) -> list[str]:
    """List what is half written in a folder and below."""
    return sorted(
        str(path.relative_to(folder))
        for pattern in HALF
        for path in folder.rglob(pattern)
        if not path.name.endswith(".old")
    )


def whole(path: Path) -> str:
    """Return the fingerprint of a model that onnx accepts and ONNX Runtime loads.

    Raises:
        BrokenPromiseError: If they do not.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
        runtime().InferenceSession(path, providers=["CPUExecutionProvider"])
        return fingerprint(load(path))
    except Exception as error:  # each library has kinds of its own
        raise BrokenPromiseError(f"'{path.name}' is no whole model: {error}") from error


def learn(case: Case, folder: Path) -> Known:
    """Make what is there before a run, and run it once."""
    folder.mkdir(parents=True)
    if case.old is not None:
        finish(folder, case.old)
        shutil.rmtree(folder / "cache", ignore_errors=True)
    shutil.copytree(folder, folder.with_name("before"))
    old = {name: whole(folder / name) for name in case.outputs if (folder / name).exists()}
    begin = time.monotonic()
    found = finish(folder, case.command)
    seconds = time.monotonic() - begin
    new = {name: whole(folder / name) for name in case.outputs}
    files = {name: (folder / name).read_bytes() for name in case.outputs}
    if half_written(folder):
        raise BrokenPromiseError(f"an undisturbed run leaves {half_written(folder)}")
    return Known(old, new, files, case.result(found), seconds)


def wait_for(process: subprocess.Popen[str], folder: Path, seconds: float, *, part: bool) -> None:
    """Wait for some time, or for a file that is being written from then on."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.001)
    while part and process.poll() is None and not half_written(folder):
        time.sleep(0.0005)


def check_outputs(case: Case, known: Known, folder: Path) -> str:
    """Hold each output against the old and the new one; return which they are."""
    found = []
    for name in case.outputs:
        path = folder / name
        if not path.exists():
            if name in known.old:
                raise BrokenPromiseError(f"'{name}' is gone")
            found.append("none")
            continue
        mark = whole(path)
        if mark not in (known.old.get(name), known.new[name]):
            raise BrokenPromiseError(f"'{name}' is neither the old file nor the new one")
        found.append("new" if mark == known.new[name] else "old")
    return "+".join(found)


def kill_one(
    case: Case, known: Known, folder: Path, rng: random.Random, within: float
) -> tuple[str | None, float]:
    """Kill a run, look at what is left, and let it go on.

    Args:
        case: The run.
        known: What it leaves undisturbed.
        folder: Where it runs.
        rng: Draws the signal and the moment.
        within: How many seconds it is left alone at most, but for the wait for a file.

    Returns:
        What was there after the kill, and how many seconds the run took to end; None if it had
        ended before.
    """
    shutil.copytree(folder.with_name("before"), folder)
    number, part = rng.choice(SIGNALS), rng.random() < 0.5
    process = start(folder, case.command)
    wait_for(process, folder, rng.random() * within, part=part)
    if part:
        time.sleep(rng.random() * 0.02)
    had_ended = process.poll() is not None
    begin = time.monotonic()
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=SOON_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise BrokenPromiseError(f"{number.name} does not end it in {SOON_S:.0f} s") from None
    took = time.monotonic() - begin
    if "Traceback" in err:
        raise BrokenPromiseError(f"{number.name} leaves a traceback: {err[-800:]}")
    if number != signal.SIGKILL and half_written(folder):
        raise BrokenPromiseError(f"{number.name} leaves {half_written(folder)}")
    state = check_outputs(case, known, folder)
    if had_ended:
        shutil.rmtree(folder)
        return None, took
    result = case.result(finish(folder, case.command))
    if result != known.result:
        raise BrokenPromiseError(
            f"the run that goes on ends with another result after {number.name}"
        )
    for name, content in known.files.items():
        if (folder / name).read_bytes() != content:
            raise BrokenPromiseError(f"'{name}' is another file than of an undisturbed run")
    if half_written(folder):
        raise BrokenPromiseError(f"the next run leaves {half_written(folder)}")
    shutil.rmtree(folder)
    return f"{number.name}{', writing' if part else ''}: {state}", took


def main() -> None:
    """Kill runs of each case in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="of all cases together")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end earlier than that")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "faults")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    make_model(options.folder / "net.onnx")
    rng = random.Random(options.seed)  # noqa: S311 - no secret
    known = {case.name: learn(case, place(options.folder, case, "first")) for case in CASES}
    seen: dict[str, Counter[str]] = {case.name: Counter() for case in CASES}
    within = {case.name: known[case.name].seconds for case in CASES}
    slowest, number = 0.0, 0
    end = time.monotonic() + 60 * options.minutes
    for tried in itertools.count():
        case = CASES[number % len(CASES)]
        folder = place(options.folder, case, f"kill{tried}")
        try:
            what, took = kill_one(case, known[case.name], folder, rng, within[case.name])
        except BrokenPromiseError as error:
            sys.exit(f"kill {number + 1}, {case.name}: {error}; its folder is {folder}")
        if what is None:  # too late: this machine has become faster
            within[case.name] *= 0.9
            continue
        number, slowest = number + 1, max(slowest, took)
        seen[case.name][what] += 1
        print(f"{number} of {options.kills}: {case.name}: {what}", flush=True)
        if number == options.kills or time.monotonic() > end:
            break
    for case in CASES:
        print(f"{case.name} (undisturbed {known[case.name].seconds:.1f} s)")
        for what, count in sorted(seen[case.name].items()):
            print(f"  {count:3} {what}")
    print(f"{number} kills, no promise broken; the slowest took {slowest:.1f} s to end")


def place(folder: Path, case: Case, name: str) -> Path:
    """Return the folder of one run of a case."""
    return folder / case.name.replace(" ", "-").replace(",", "") / name


if __name__ == "__main__":
    main()
