"""Find which stages of a prune give other bytes with other numbers of threads.

    python tools/determinism.py models/tiny_unet.onnx [--criterion sel --recover bias ...]

Each run is a process of its own: with one, two and four threads of BLAS, of ONNX Runtime and of
torch, and with another hash seed, temporary folder and working directory. Every stage's result is
digested; the table names the stages whose digest differs from the first run's. The exit code is 1
where the file does.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Setting:
    """How a process runs.

    Attributes:
        name: What the table calls it.
        blas: Threads of BLAS, and of torch where it is not told else.
        runtime: Threads of ONNX Runtime.
        torch: Threads of torch.
        environment: Further variables.
        elsewhere: Whether in another working directory, with another temporary folder.
    """

    name: str
    blas: int = 1
    runtime: int = 1
    torch: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    elsewhere: bool = False


SETTINGS = (
    Setting("1 thread"),
    Setting("again"),
    Setting("BLAS 2", blas=2),
    Setting("BLAS 4", blas=4),
    Setting("runtime 2", runtime=2),
    Setting("runtime 4", runtime=4),
    Setting("torch 2", torch=2),
    Setting("torch 4", torch=4),
    Setting("all 2", 2, 2, 2),
    Setting("hash seed", environment={"PYTHONHASHSEED": "7"}),
    Setting("elsewhere", elsewhere=True),
)


def digest(value: Any) -> str:
    """Return a digest of a record, an array, or what else a stage returns."""
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()[:12]


def _feed(sha: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        sha.update(f"{value.dtype}{value.shape}".encode())
        sha.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value):
        for one in fields(value):
            _feed(sha, getattr(value, one.name))
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            sha.update(str(key).encode())
            _feed(sha, value[key])
    elif isinstance(value, (list, tuple)):
        for one in value:
            _feed(sha, one)
    else:
        sha.update(repr(value).encode())


def child(model: str, setting: dict[str, Any], options: list[str]) -> None:
    """Prune once, and print the digest of each stage as JSON."""
    import onnxruntime
    from click.testing import CliRunner

    from wrg_onnx.cli.app import main as command
    from wrg_onnx.pipeline import choose, measuring, recovery
    from wrg_onnx.recover.measured_arrays import to_arrays

    reconstruct = importlib.import_module("wrg_onnx.recover.reconstruct")

    plain = onnxruntime.SessionOptions

    def threaded() -> Any:
        made = plain()
        if not made.intra_op_num_threads:
            made.intra_op_num_threads = setting["runtime"]
        return made

    onnxruntime.SessionOptions = threaded
    if "torch" in sys.modules or _uses_torch(options):
        import torch

        torch.set_num_threads(setting["torch"])
    found: dict[str, str] = {}

    def watch(module: Any, name: str, stage: str, read: Callable[[Any], Any]) -> None:
        inner = getattr(module, name)

        def outer(*args: Any, **kwargs: Any) -> Any:
            made = inner(*args, **kwargs)
            found[f"{stage} {sum(key.startswith(stage) for key in found)}"] = digest(read(made))
            return made

        setattr(module, name, outer)

    watch(choose, "collect", "statistics", _statistics)
    watch(choose, "score", "scores", lambda made: made.values)
    watch(measuring, "measure_layers", "measured", lambda made: [*to_arrays(made)])
    watch(choose, "repair_order", "order", lambda made: made.values)
    watch(reconstruct, "first_step", "first step", dict)
    watch(reconstruct, "solve_level", "ridge", lambda made: dict(made.constants))
    watch(recovery, "compensate", "biases", lambda made: _weights(made.graph))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.onnx")
        ran = CliRunner().invoke(
            command, ["prune", model, str(output), "--no-cache", "--json", *options]
        )
        if ran.exit_code:
            raise SystemExit(ran.output)
        report = json.loads(ran.stdout)
        found["proof"] = digest(report["equivalence"])
        found["metrics"] = digest(report["accuracy"])
        found["file"] = digest(np.frombuffer(output.read_bytes(), np.uint8))
    print(json.dumps(found))


def _statistics(collected: Any) -> Any:
    return {factor.name: layers for factor, layers in collected.statistics.factors.items()}


def _weights(graph: Any) -> dict[str, Any]:
    return {name: graph.constants[name] for name in graph.constants}


def _uses_torch(options: list[str]) -> bool:
    return any(option in ("sel", "g", "wg", "rg", "taylor", "finetune") for option in options)


def run(setting: Setting, model: Path, options: list[str]) -> dict[str, str]:
    """Return the digests of one process."""
    threads = dict.fromkeys(THREADS, str(setting.blas))
    environment = {**os.environ, "PYTHONHASHSEED": "0", **threads, **setting.environment}
    told = json.dumps({"runtime": setting.runtime, "torch": setting.torch})
    with tempfile.TemporaryDirectory() as folder:
        if setting.elsewhere:
            environment["TMPDIR"] = folder
        done = subprocess.run(
            [sys.executable, __file__, "--child", told, str(model.resolve()), *options],
            env=environment, cwd=folder if setting.elsewhere else None, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{setting.name}: {done.stderr}{done.stdout}")
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def differing(first: dict[str, str], other: dict[str, str]) -> Iterator[str]:
    """Yield the stages whose digests differ, each once."""
    yield from dict.fromkeys(
        stage.rstrip("0123456789 ")
        for stage in (*first, *(name for name in other if name not in first))
        if first.get(stage) != other.get(stage)
    )


def main() -> int:
    """Run all settings, and print which stages differ."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--settings", help="names of some of them, with commas between")
    parser.add_argument("model", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of prune")
    options = parser.parse_args()
    asked = options.options or ["--ratio", "0.5"]
    if options.child:
        child(str(options.model), json.loads(options.child), asked)
        return 0
    first: dict[str, str] | None = None
    is_same = True
    chosen = (options.settings or "").split(",")
    for setting in SETTINGS:
        if options.settings and setting.name not in chosen:
            continue
        found = run(setting, options.model, asked)
        first = first or found
        others = [*differing(first, found)]
        is_same &= "file" not in others
        print(f"{setting.name:<12} {', '.join(others) or 'the same'}", flush=True)
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
