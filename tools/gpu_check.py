"""Everything about a GPU that a machine without one cannot tell, in ten minutes at most.

    python tools/gpu_check.py                            all parts, into build/gpu-check.json
    python tools/gpu_check.py --rehearse                 the same on the CPU, with small nets
    python tools/gpu_check.py --write-docs build/gpu-check.json    fill docs/performance.md

Nothing is downloaded: nets have random weights, images are made. Each part runs in a process of its
own with a time limit; one that fails or hangs takes no other along, and what it had found out until
then is kept. Without a GPU it says what it would do.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
LIMIT_S = 600
"""What all parts may take together."""

TAIL = 4000
"""How many characters of a part's own words are kept."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        name: Its name in the results.
        says: What it does.
        module: The module of ``tools/gpu/`` that does it.
        limit_s: When it is ended.
        needs: Who has to compute on the GPU, ``torch`` or ``onnxruntime``.
        net: The net that it looks at; empty where it looks at several.
    """

    name: str
    says: str
    module: str
    limit_s: int
    needs: str
    net: str = ""


_SPEED = "prune, validate and bench it with ONNX Runtime on CUDA, in float32 and float16"

PARTS = (
    Part("tests", "the tests that are marked gpu", "run_tests", 90, "torch"),
    Part("factors", "ranks and gradients against the CPU's", "factors", 80, "torch"),
    Part("training", "fine-tuning in float16 against float32", "mixed_precision", 60, "torch"),
    Part("twins", "the torch twins of three nets, before and after pruning", "twins", 70, "torch"),
    Part("speed, VGG16-SOD", _SPEED, "speed", 100, "onnxruntime", "vgg16_sod"),
    Part("speed, ResNet-50", _SPEED, "speed", 100, "onnxruntime", "resnet50"),
    Part("speed, VGG16", _SPEED, "speed", 100, "onnxruntime", "vgg16"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, and return 1 if one failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rehearse", action="store_true", help="run all on the CPU, small")
    parser.add_argument("--only", action="append", metavar="PART", help="leave the others out")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu-check.json")
    parser.add_argument("--write-docs", type=Path, metavar="FILE", help="fill in these results")
    options = parser.parse_args(arguments)
    if options.write_docs is not None:
        return write_docs(options.write_docs)
    known = [part.name for part in PARTS]
    if unknown := sorted({*(options.only or ())} - {*known}):
        parser.error(f"there is no part {unknown[0]!r}, but {', '.join(known)}")
    parts = [part for part in PARTS if options.only is None or part.name in options.only]
    machine = json.loads(ask(("gpu.machine",)).stdout)
    on_gpu = machine["torch_on_gpu"] or machine["onnxruntime_on_gpu"]
    if not (options.rehearse or on_gpu):
        print(
            "There is no GPU here that torch or ONNX Runtime computes on. With one this would run,"
        )
        print("each in a process of its own, for at most so many minutes:")
        for part in parts:
            print(f"  {part.limit_s / 60:4.1f}  {part.name}: {part.says}")
        return 0
    if machine["missing"]:
        print(f"Some parts will fail: pip install {' '.join(machine['missing'])}", file=sys.stderr)
    return run_all(parts, machine, options.out, rehearse=options.rehearse)


def run_all(parts: Sequence[Part], machine: Mapping[str, Any], out: Path, *, rehearse: bool) -> int:
    """Run parts one after another, and write what is known after each."""
    folder = out.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.onnx"):
        left.unlink()  # of another run, perhaps of other sizes
    results: dict[str, Any] = {}
    start = time.monotonic()
    for part in parts:
        print(f"{part.name} ...", end=" ", flush=True)
        left_s = LIMIT_S - (time.monotonic() - start)
        if not rehearse and not machine[f"{part.needs}_on_gpu"]:
            results[part.name] = {"state": f"left out: no {part.needs} on the GPU"}
        elif left_s < 1:
            results[part.name] = {"state": "left out: no time was left"}
        else:
            results[part.name] = run_part(part, folder, min(part.limit_s, left_s), small=rehearse)
        print(results[part.name]["state"], flush=True)
        found = {"rehearsal": rehearse, "machine": machine, "parts": results}
        out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s; the figures are in {out}")
    return int(any(one["state"] in ("failed", "stopped") for one in results.values()))


def run_part(part: Part, folder: Path, limit_s: float, *, small: bool) -> dict[str, Any]:
    """Run one part; return its state, its seconds, its figures, and its last words if it failed."""
    figures = folder / f"{part.name}.figures.json"
    figures.unlink(missing_ok=True)
    command = (
        f"gpu.{part.module}", "--net", part.net, "--folder", str(folder), "--out", str(figures),
        "--device", "cpu" if small else "cuda", *(["--small"] if small else []),
    )  # fmt: skip
    start = time.monotonic()
    done = ask(command, limit_s)
    found: dict[str, Any] = {
        "state": {0: "done", None: "stopped"}.get(done.returncode, "failed"),
        "seconds": time.monotonic() - start,
        "figures": json.loads(figures.read_text("utf-8")) if figures.exists() else {},
    }
    if done.returncode != 0:
        found["said"] = done.stderr[-TAIL:]
    return found


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended; its return code is None if its time was up."""

    returncode: int | None
    stdout: str
    stderr: str


def ask(command: Sequence[str], limit_s: float | None = None) -> Ended:
    """Run a module in a process of its own, with all processes that it starts."""
    paths = [str(ROOT / "tools"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        stdout, stderr = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        return Ended(None, stdout, stderr)
    return Ended(process.returncode, stdout, stderr)


def write_docs(results: Path) -> int:
    """Put the figures of a run into the page; those of a rehearsal are none."""
    from gpu.page import fill, tables

    found = json.loads(results.read_text(encoding="utf-8"))
    if found["rehearsal"]:
        print(f"{results} is of a rehearsal: its figures are of a CPU", file=sys.stderr)
        return 1
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), tables(found)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
