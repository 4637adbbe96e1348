"""Prune the same models with wrg-onnx and its peers, and show the results side by side.

    python tools/bench/bench_peers.py [--zoo DIR] [--models DIR] [--ratio 0.6] [--only GLOB]

Each tool on each model is a process of its own with a time and a memory limit. The peers live in
a virtual environment of their own, made in ``build/``. Without a zoo, the models are those that the
repository itself has.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from peers.child import ROOT, Limits
from peers.environment import peers_python, versions
from peers.outcomes import Outcome, Result
from peers.summary import ahead, race, summarise
from peers.tables import markdown, race_text, summary_table
from peers.trial import TOOLS, WRG, Bench, try_tool
from peers.zoo import BUILD, ORACLE, SHARED, Model, find_models, materialise

PACKAGES = ("onnxsim", "torch-pruning", "onnx2torch", "torch", "onnx", "onnxruntime", "numpy")


def main() -> None:
    """Run, print and write."""
    options = _parser().parse_args()
    models = find_models(_folder(options.zoo), _folder(options.models), options.only)
    if not models:
        sys.exit(f"no model is called '{options.only}'")
    tools = [tool for tool in TOOLS if tool in options.tools.split(",")]
    peers = peers_python() if set(tools) - {WRG} else None
    bench = Bench(
        ratio=options.ratio,
        limits=Limits(options.timeout, options.memory),
        peers=peers,
        check=ORACLE if ORACLE.exists() else None,
        folder=BUILD / "pruned",
        keep=options.keep,
    )
    bench.folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for result in measure(bench, tools, models):
        results.append(result)
        if options.json:  # anew each time: a stopped run leaves what it has
            rows = [dataclasses.asdict(one) for one in results]
            options.json.write_text(json.dumps(rows, default=_plain, indent=1) + "\n")
    summaries = [summarise(tool, results) for tool in tools]
    races = [race(WRG, tool, results) for tool in tools if tool != WRG and WRG in tools]
    more = {r.peer: ahead(WRG, r.peer, results) for r in races}
    console = Console(width=80)
    console.print(summary_table(summaries))
    for one in races:
        console.print(race_text(one))
    conditions = describe(options, bench, models)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(markdown(results, summaries, races, conditions, more))
        console.print(f"Written to {options.output}.")


def measure(bench: Bench, tools: Sequence[str], models: Sequence[Model]) -> Iterator[Result]:
    """Run every tool on every model, the tools turn by turn."""
    for number, model in enumerate(models, start=1):
        print(f"{number}/{len(models)} {model.name}", end="", file=sys.stderr, flush=True)
        try:
            materialise(model)
        except subprocess.CalledProcessError as error:
            print(f": cannot be made: {error.stderr.strip()[-200:]}", file=sys.stderr)
            continue
        for tool in tools:
            result = try_tool(bench, tool, model)
            yield result
            shown = f"{result.outcome.value} {result.removed:.1%}"
            print(f"; {tool}: {shown}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)


def describe(options: argparse.Namespace, bench: Bench, models: Sequence[Model]) -> dict[str, str]:
    """Say what was run, where and on what."""
    ours = versions(sys.executable, ("onnx", "onnxruntime", "numpy"))
    theirs = versions(bench.peers, PACKAGES) if bench.peers else {}
    found = {"wrg-onnx": _commit(), **ours}
    found |= {k if k not in ours else f"{k} of the peers": v
              for k, v in theirs.items() if ours.get(k) != v}  # fmt: skip
    of_repository = sum(ROOT in Path(m.source).parents or bool(m.factory) for m in models)
    others = len(models) - of_repository
    zoo = f", {others} from outside of it" if others else " (no zoo was given)"
    judge = (
        "an independent check that is not part of the repository"
        if bench.check
        else ("the check in tools/bench/peers/masked.py")
    )
    return {
        "command": f"`python {shlex.join(_relative(argument) for argument in sys.argv)}`",
        "models": f"{of_repository} of the repository{zoo}",
        "judge": judge,
        "limits": f"{options.timeout:g} s and {options.memory / 1e9:g} GB for each process",
        "machine": f"{_cpu()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version}" for name, version in found.items()),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    data = SHARED / "data"
    parser.add_argument("--zoo", type=Path, default=data / "zoo", help=".onnx.xz without weights")
    parser.add_argument("--models", type=Path, default=data / "models", help="trained .onnx files")
    parser.add_argument("--ratio", type=float, default=0.6)
    parser.add_argument("--only", default="*", metavar="GLOB", help="names of models")
    parser.add_argument("--tools", default=",".join(TOOLS), help="[%(default)s]")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each process")
    parser.add_argument("--memory", type=int, default=9_000_000_000, help="bytes for each process")
    parser.add_argument("--output", type=Path, help="write Markdown there")
    parser.add_argument("--json", type=Path, help="write every result there")
    parser.add_argument("--keep", action="store_true", help="leave pruned files in build/")
    return parser


def _folder(path: Path) -> Path | None:
    return path if path.is_dir() else None


def _relative(argument: str) -> str:
    path = Path(argument)
    return str(path.relative_to(ROOT)) if path.is_absolute() and ROOT in path.parents else argument


def _plain(value: object) -> object:
    return value.value if isinstance(value, Outcome) else str(value)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return found.stdout.strip() or "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
