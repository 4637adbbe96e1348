"""Prune and inspect a model larger than memory should have to be, beside copying its weights.

    python tools/bench/bench_large.py [--gib 6]

The model is made beforehand (`large_model.py`), and takes twice its size on the disk of the
temporary folder. Each command is a process of its own: its wall and CPU time and its peak memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from one_process import Run, run

COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"

MAKE = Path(__file__).with_name("large_model.py")

WRG = [sys.executable, "-m", "wrg_onnx"]


def measure(model: Path, ratio: float) -> dict[str, Run]:
    """Copy the weights, then prune and inspect the model."""
    output = model.with_name("out.onnx")
    data = model.with_name(model.name + ".data")
    copy = model.with_name("copy.data")
    prune = [*WRG, "prune", str(model), "--ratio", str(ratio), "--criterion", "l1", "--recover",
             "none", "--output", str(output), "--external-data"]  # fmt: skip
    found = {"copy the weights": run([sys.executable, "-c", COPY, str(data), str(copy)])}
    copy.unlink()
    found["prune, proof included"] = run(prune)
    for path in (output, output.with_name(output.name + ".data")):
        path.unlink()
    found["inspect"] = run([*WRG, "inspect", str(model)])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gib", type=float, default=6.0)
    parser.add_argument("--ratio", type=float, default=0.4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.onnx"
        # In a process of its own, whose memory is gone before the others start.
        run([sys.executable, str(MAKE), str(model), "--gib", str(options.gib)])
        size = model.with_name(model.name + ".data").stat().st_size
        found = measure(model, options.ratio)
    if options.json:
        print(json.dumps({name: asdict(one) for name, one in found.items()}, indent=2))
        return
    copied = found["copy the weights"]
    print(f"{size / 2**30:.2f} GiB of weights beside the model, ratio {options.ratio}")
    print(f"{'':<24}{'seconds':>9}{'/ copy':>8}{'CPU s':>8}{'peak MiB':>10}")
    for name, one in found.items():
        against = one.wall_s / copied.wall_s
        peak = one.peak_bytes / 2**20
        print(f"{name:<24}{one.wall_s:>9.1f}{against:>7.1f}x{one.cpu_s:>8.1f}{peak:>10.0f}")


if __name__ == "__main__":
    main()
