"""Prune every model of some folders or installed packages, and write docs/coverage-field.md.

    python tools/field.py FOLDER... --installed --ratio 0.6 -- --criterion l1 --recover none

Nothing is downloaded. What stands behind `--` is passed on to `wrg-onnx prune`. Each model is cut
in a process of its own, with limits to its memory and its time, and nothing of it is kept. Archives
without weights (`*.onnx.xz`) are filled by the script that `--skeletons` names, if it is given.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import inspect
import json
import os
import resource
import signal
import site
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "coverage-field.md"
EXCLUDED = ("*/onnx/backend/*", "*/onnxruntime/datasets/*")
"""Data for tests that ship inside packages, by default left out."""

WIDTH = 80
SLACK = 0.01
"""How far below the asked ratio a model may be cut without a reason being named."""

INTRODUCTION = """\
# Models of the field

Written by `python tools/field.py`; do not edit it by hand. Every model was cut
{where}, by

    wrg-onnx prune MODEL --ratio {ratio:g}{extra}

*Removed* is the share of the parameters that is gone, *most* the largest share
that can be asked for; a model that allows less than was asked is cut by that.
*Error* is that of the proof: the largest difference between the cut model and
the original with the removed channels silenced, relative to the largest value.
*Through norms* is removed with `--through-norms`, where that allows more.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one model.

    Attributes:
        name: Its file's name.
        seconds: How long its process took.
        parameters: How many it has; None if it cannot be analysed.
        removed: The share of them that was removed; None if it was not cut.
        most: The largest share that can be asked for.
        error: The error of the proof.
        reason: Why it was not cut, or by less than was asked; empty if it was cut as asked.
        freed: The share that was removed with `--through-norms`; None if it was not tried, because
            the model was cut as asked or allows no more with it.
    """

    name: str
    seconds: float = 0.0
    parameters: int | None = None
    removed: float | None = None
    most: float | None = None
    error: float | None = None
    reason: str = ""
    freed: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """How models are cut.

    Attributes:
        ratio: What is asked for.
        extra: Further arguments of `wrg-onnx prune`.
        seconds: How long a process may take.
        gigabytes: How much memory of its own it may have.
        skeletons: The script that fills archives without weights.
    """

    ratio: float
    extra: tuple[str, ...] = ()
    seconds: float = 600.0
    gigabytes: float = 8.0
    skeletons: Path | None = None


def find_models(
    folders: Iterable[Path], *, archives: bool, exclude: Sequence[str] = EXCLUDED
) -> list[Path]:
    """List the models below some folders by name; of files with the same content, the first.

    Args:
        folders: Where to look, at any depth.
        archives: Whether archives without weights count.
        exclude: Globs over whole paths that are left out.
    """
    patterns = ("*.onnx", *(("*.onnx.xz",) if archives else ()))
    found = {path for folder in folders for pattern in patterns for path in folder.rglob(pattern)}
    kept: dict[bytes, Path] = {}
    for path in sorted(found, key=lambda path: (path.name.lower(), str(path))):
        if path.is_file() and not any(fnmatch.fnmatch(str(path), glob) for glob in exclude):
            kept.setdefault(_digest(path), path)
    return list(kept.values())


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def installed() -> list[Path]:
    """Return the folders of installed packages."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return [Path(folder) for folder in folders if Path(folder).is_dir()]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return the files' names; those that several have are numbered."""
    names: list[str] = []
    for path in paths:
        name = path.name.removesuffix(".xz")
        count = sum(other.partition(" (")[0] == name for other in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names


def cut(path: Path, name: str, trial: Trial) -> Outcome:
    """Cut one model in a process of its own."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        whole = path
        if path.suffix == ".xz":
            whole = Path(folder) / name
            fill = [sys.executable, str(trial.skeletons), "materialize", str(path), str(whole)]
            made = subprocess.run(fill, capture_output=True, text=True, check=False)
            if made.returncode:
                return Outcome(name, reason=f"the archive cannot be filled: {_last(made.stderr)}")
        found = _in_a_process(whole, name, trial, Path(folder) / "outcome.json")
    return Outcome(**{**found, "name": name, "seconds": time.monotonic() - start})


def _in_a_process(path: Path, name: str, trial: Trial, target: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", str(path), "--to", str(target),
               "--ratio", str(trial.ratio), "--memory", str(trial.gigabytes),
               "--", *trial.extra]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=trial.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"reason": f"not done after {trial.seconds:g} s"}
    if target.exists():
        found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        # A message of the package names the file as it was given.
        return {**found, "reason": found["reason"].replace(str(path), name)}
    if process.returncode < 0:
        return {"reason": f"its process was ended by signal {-process.returncode}"}
    return {"reason": f"crashed: {_last(said)}".replace(str(path), name)}


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "without a word"


def cut_here(path: Path, ratio: float, extra: Sequence[str]) -> Outcome:
    """Cut one model in this process, at most by what it allows."""
    import wrg_onnx
    from wrg_onnx.cli.prune import prune_command
    from wrg_onnx.errors import WrgError

    asked = prune_command.make_context("prune", [str(path), "--ratio", str(ratio), *extra]).params
    try:
        look = inspect.signature(wrg_onnx.inspect).parameters
        shown = wrg_onnx.inspect(**{k: v for k, v in asked.items() if k in look}).report
    except WrgError as error:
        return Outcome(path.name, reason=_first_line(error))
    known = Outcome(path.name, parameters=shown.cost.parameters, most=shown.largest_ratio)
    held = f"{shown.frozen[0].reason} ({shown.frozen[0].share:.0%})" if shown.frozen else ""
    takes = inspect.signature(wrg_onnx.prune).parameters
    options = {k: v for k, v in asked.items() if k in takes and k not in ("output", "cache")}
    try:
        freed = _freed(ratio, shown.largest_ratio, options)
        within = _within(ratio, shown.largest_ratio)
        if within <= 0:
            reason = shown.nothing or held
            return replace(known, removed=0.0, reason=reason, freed=freed)
        report = wrg_onnx.prune(**{**options, "ratio": within, "cache": False}).report
    except WrgError as error:
        return replace(known, reason=_first_line(error))
    removed = 1 - report.after.parameters / report.before.parameters
    is_less = removed < ratio - SLACK
    floor = f"each layer keeps {asked['floor']:.0%} of its channels"
    return replace(
        known,
        removed=removed,
        error=report.equivalence.error,
        reason=(held or floor) if is_less else "",
        freed=freed,
    )


def _within(ratio: float, most: float) -> float:
    """Return what is asked for; rounded down, since a ratio of one unit too much is refused."""
    return min(ratio, int(most * 1000) / 1000)


def _freed(ratio: float, most: float, options: dict[str, Any]) -> float | None:
    """Cut a model that allows too little once more, through its normalisations."""
    import wrg_onnx

    if most >= ratio or options["through_norms"]:
        return None
    look = inspect.signature(wrg_onnx.inspect).parameters
    seen = {k: v for k, v in options.items() if k in look}
    shown = wrg_onnx.inspect(**{**seen, "through_norms": True}).report
    if shown.largest_ratio <= most:
        return None
    within = _within(ratio, shown.largest_ratio)
    through = {**options, "ratio": within, "through_norms": True, "cache": False}
    report = wrg_onnx.prune(**through).report
    return 1 - report.after.parameters / report.before.parameters


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def page(outcomes: Sequence[Outcome], trial: Trial, where: str) -> str:
    """Return the text of docs/coverage-field.md.

    Args:
        outcomes: What became of the models, in any order.
        trial: How they were cut.
        where: Each model's limits, in words.
    """
    ordered = sorted(outcomes, key=lambda outcome: (outcome.name.lower(), outcome.name))
    extra = "".join(f" {argument}" for argument in trial.extra)
    done = [o for o in ordered if o.removed is not None and o.removed >= trial.ratio - SLACK]
    freed = [o for o in ordered if o.freed is not None and o.freed >= trial.ratio - SLACK]
    more = f", {len(freed)} more with `--through-norms`" if freed else ""
    lines = [
        INTRODUCTION.format(ratio=trial.ratio, extra=extra, where=where),
        f"{len(done)} of {len(ordered)} models were cut as asked{more}.\n",
        "| model | parameters | removed | most | error | through norms |",
        "|---|--:|--:|--:|--:|--:|",
        *(_row(outcome) for outcome in ordered),
    ]
    told = [outcome for outcome in ordered if outcome.reason]
    if told:
        lines += ["", "## Why less, or not at all", ""]
        lines.append("Where a model was cut: what holds most of the parameters that stay.\n")
    for outcome in told:
        lines += textwrap.wrap(
            f"- `{outcome.name}`: {outcome.reason}", WIDTH, subsequent_indent="  ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(one: Outcome) -> str:
    cells = (
        f"`{one.name}`",
        "" if one.parameters is None else f"{one.parameters:,}",
        "-" if one.removed is None else f"{one.removed:.1%}",
        "" if one.most is None else f"{one.most:.1%}",
        "" if one.error is None else f"{one.error:.0e}",
        "" if one.freed is None else f"{one.freed:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def run(paths: Sequence[Path], trial: Trial, jobs: int = 1) -> Iterator[Outcome]:
    """Cut models, several at a time; yields what became of them in their order."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(partial(cut, trial=trial), paths, names_of(paths))


def _arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    own, extra = list(argv), []
    if "--" in own:
        place = own.index("--")
        own, extra = own[:place], own[place + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path, help="where models lie, at any depth")
    parser.add_argument("--installed", action="store_true", help="look in installed packages, too")
    parser.add_argument("--exclude", action="append", help="a glob over paths to leave out")
    parser.add_argument("--skeletons", type=Path, help="the script that fills *.onnx.xz")
    parser.add_argument("--ratio", type=float, default=0.6)
    parser.add_argument("--seconds", type=float, default=600.0, help="for each model")
    parser.add_argument("--memory", type=float, default=8.0, help="for each model, in GB")
    parser.add_argument("--jobs", type=int, default=1, help="how many models at a time")
    parser.add_argument("--output", type=Path, default=TARGET)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(own), tuple(extra)


def main(argv: Sequence[str] | None = None) -> None:
    """Cut the models, and write the page."""
    options, extra = _arguments(sys.argv[1:] if argv is None else argv)
    if options.one is not None:
        most = int(options.memory * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        outcome = cut_here(options.one, options.ratio, extra)
        options.to.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        return
    trial = Trial(options.ratio, extra, options.seconds, options.memory, options.skeletons)
    folders = [*options.folders, *(installed() if options.installed else [])]
    exclude = EXCLUDED if options.exclude is None else options.exclude
    paths = find_models(folders, archives=trial.skeletons is not None, exclude=exclude)
    if not paths:
        sys.exit(f"no models in {', '.join(map(str, folders)) or 'no folder'}")
    outcomes: list[Outcome] = []
    for outcome in run(paths, trial, options.jobs):
        outcomes.append(outcome)
        print(f"{len(outcomes)} of {len(paths)}  {_row(outcome)}  {outcome.reason}", flush=True)
    where = f"in at most {trial.seconds:g} s and {trial.gigabytes:g} GB each"
    options.output.write_text(page(outcomes, trial, where), encoding="utf-8")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
