"""Hold the speed that a cut brings against the multiplications that it removes.

    python tools/bench/bench_speed.py [--model NAME ...] [--output FILE.md] [--no-peer]

Each network is cut by half of its MACs, with layers kept in any number of channels, and with those
that this machine's kernels like (``--align auto``), these also as ``sel`` chooses them instead of
the default criterion; and to 60 % of its time (``--budget latency``).
Torch-Pruning cuts the module itself to the same MACs, in an environment of its own, with its
defaults, and with its channels rounded to the same step. All of them are timed side by side by
``wrg_onnx.bench``, in processes of their own and in turns, so that the machine's moods fall on all.

Realised is the speed-up over the quotient of the MACs. The targets are at least 0.85 with
alignment, not less than without, and a latency within 3 points of what was asked for.

Weights are drawn: how fast a model is does not depend on them. What is cut does; criteria choose it
on generated images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import wrg_onnx
from peers.child import ROOT, Limits, run
from peers.environment import peers_python

NETWORKS: Mapping[str, tuple[str, int]] = {
    "VGG16": ("models.classifiers:vgg16", 224),
    "ResNet50": ("models.classifiers:resnet50", 224),
    "MobileNetV2": ("models.classifiers:mobilenet_v2", 224),
    "U2NET-P": ("models.u2netp:u2netp", 320),
}
"""A factory of this repository, and the size of its images."""

RATIO = 0.5
"""Of the MACs."""

FASTER = 0.4
"""Of the time."""

REALISED = 0.85
"""What of the MACs' reduction a cut with alignment turns into speed, at least."""

MISS = 0.03
"""How far from the time that was asked for a cut may be."""

TRIES = 6
"""How often Torch-Pruning's ratio of channels is corrected to come to the same MACs."""

NEAR = 0.005
"""At which difference of the share of MACs that is gone no more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One cut of a network.

    Attributes:
        network: Which one.
        cut: How it was cut.
        macs: MACs of the original over those that are left.
        median_ms: What it takes.
        speedup: How many times as fast as the original, and the ends of its interval.
    """

    network: str
    cut: str
    macs: float
    median_ms: float
    speedup: tuple[float, float, float]

    @property
    def realised(self) -> float:
        """The speed-up over the quotient of the MACs."""
        return self.speedup[0] / self.macs

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        middle, low, high = self.speedup
        return (
            self.network,
            self.cut,
            f"{self.macs:.2f}x",
            f"{self.median_ms:.2f}",
            f"{middle:.2f}x ({low:.2f} to {high:.2f})",
            f"{self.realised:.2f}",
        )


HEADER = ("network", "cut", "fewer MACs", "ms", "speed-up", "realised")


def macs_of(path: Path, size: int) -> int:
    """Return the MACs of a file."""
    return wrg_onnx.inspect(path, size=size).report.cost.macs


def cut(source: Path, folder: Path, size: int, name: str, **options: object) -> Path:
    """Cut a model, choosing as a default run does; how good it is nobody asks."""
    target = folder / f"{name}.onnx"
    report = wrg_onnx.prune(
        source, target, size=size, samples=8, recover="none", evaluate=False, force=True,
        cache=folder, **options,  # type: ignore[arg-type]
    ).report  # fmt: skip
    for note in report.notes:
        if "cost table" in note or "noisy" in note:
            print(f"{source.stem}, {name}: {note}", flush=True)
    return target


def peer(factory: str, size: int, folder: Path, macs: int, step: int) -> Path | None:
    """Cut a module with Torch-Pruning to as many MACs; None where it does not do it.

    Args:
        factory: The module's.
        size: Of its images.
        folder: Where the models go.
        macs: What is to be left.
        step: The multiple that it rounds channels to; 1 for none.
    """
    python = peers_python()
    script = Path(__file__).parent / "peers" / "run_torch_pruning.py"
    target = folder / f"torch-pruning-{step}.onnx"
    low, high, sparsity = 0.0, 0.95, 1 - 0.5**0.5
    best: tuple[float, bytes] | None = None
    for _ in range(TRIES):
        shape = f"1x3x{size}x{size}"
        command = [str(python), str(script), factory, str(target), str(sparsity), shape, str(step)]
        ended = run(command, Limits(seconds=300))
        if ended.code:
            print(f"Torch-Pruning: {ended.error}", file=sys.stderr)
            return None
        left = macs_of(target, size)
        off = left / macs - 1
        if best is None or abs(off) < best[0]:
            best = abs(off), target.read_bytes()
        if abs(off) < NEAR:
            break
        low, high = (sparsity, high) if off > 0 else (low, sparsity)
        sparsity = (low + high) / 2
    assert best is not None
    target.write_bytes(best[1])
    return target


def measure(network: str, folder: Path, *, with_peer: bool) -> Iterator[Row]:
    """Cut a network in each way, and time all of them side by side."""
    factory, size = NETWORKS[network]
    whole = folder / "original.onnx"
    wrg_onnx.export(factory, whole, input=[(1, 3, size, size)], force=True)
    cuts = {
        f"-{RATIO:.0%} MACs": cut(whole, folder, size, "any", ratio=RATIO, budget="macs", align=1),
        f"-{RATIO:.0%} MACs, aligned": cut(
            whole, folder, size, "aligned", ratio=RATIO, budget="macs", align="auto"
        ),
        f"-{RATIO:.0%} MACs, aligned, sel": cut(
            whole, folder, size, "sel", ratio=RATIO, budget="macs", align="auto", criterion="sel"
        ),
        f"-{FASTER:.0%} time": cut(whole, folder, size, "time", ratio=FASTER, budget="latency"),
    }
    before = macs_of(whole, size)
    yield from timed(network, whole, cuts, size)
    if not with_peer:
        return
    others = {}
    for step, title in ((1, "Torch-Pruning"), (16, "Torch-Pruning, rounded to 16")):
        found = peer(factory, size, folder, round(before * (1 - RATIO)), step)
        if found is not None:
            others[title] = found
    if others:  # beside the module as it is, by the exporter that wrote them
        unpruned = next(iter(others.values())).with_suffix(".reference.onnx")
        yield from list(timed(network, unpruned, others, size))[1:]


def timed(network: str, whole: Path, cuts: Mapping[str, Path], size: int) -> Iterator[Row]:
    """Time a model and cuts of it side by side."""
    report = wrg_onnx.bench(whole, *cuts.values(), size=size, provider="cpu", rounds=100).report
    (found,) = report.providers
    before = macs_of(whole, size)
    yield Row(network, "original", 1.0, found.latency[str(whole)].median_ms, (1.0, 1.0, 1.0))
    for title, path in cuts.items():
        ratio = found.speedup[str(path)]
        yield Row(
            network, title, before / macs_of(path, size), found.latency[str(path)].median_ms,
            (ratio.value, ratio.low, ratio.high),
        )  # fmt: skip


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """Say of each network whether the targets are met."""
    by_cut = {row.cut: row for row in rows}
    plain, aligned = by_cut[f"-{RATIO:.0%} MACs"], by_cut[f"-{RATIO:.0%} MACs, aligned"]
    faster = by_cut[f"-{FASTER:.0%} time"]
    gone = 1 - 1 / faster.speedup[0]
    for says, met in (
        (f"realised {aligned.realised:.2f} with alignment", aligned.realised >= REALISED),
        (f"{plain.realised:.2f} without", aligned.speedup[2] >= plain.speedup[1]),
        (f"{gone:.1%} of the time gone", abs(gone - FASTER) <= MISS),
    ):
        yield f"{plain.network}: {says}: {'met' if met else 'NOT met'}"


def table(rows: Sequence[Row]) -> str:
    """Write rows as Markdown."""
    lines = [f"| {' | '.join(HEADER)} |", f"|{'---|' * len(HEADER)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells)} |" for row in rows)])


def main() -> None:
    """Measure, and print the table and what became of the targets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", action="append", choices=list(NETWORKS))
    parser.add_argument("--output", type=Path, help="Where the table goes, too.")
    parser.add_argument("--no-peer", action="store_true", help="Leave Torch-Pruning out.")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    rows: list[Row] = []
    for network in options.model or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            found = list(measure(network, Path(folder), with_peer=not options.no_peer))
        print(table(found), *verdicts(found), sep="\n", flush=True)
        rows += found
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(table(rows) + "\n")


if __name__ == "__main__":
    main()
