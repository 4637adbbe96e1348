"""One file per result, written whole: a run that was stopped goes on, and pieces add up."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from reproduction.settings import Cut, Settings
from wrg_onnx.errors import DataError, OutputError, UsageError
from wrg_onnx.evaluate.image_scores import SaliencyScores
from wrg_onnx.files import renamed

CONTROL = "unpruned"
"""The row of the net that is fine-tuned like the others, and not cut."""

PACKAGES = ("wrg-onnx", "torch", "onnxruntime", "onnx", "numpy", "pysodmetrics")


@dataclass(frozen=True, slots=True)
class Cell:
    """One net to cut, and to tune for one number of steps or several.

    Attributes:
        seed: Which of the trained nets.
        cut: What is taken from it; None for the control.
        steps: Of each tuning. 0 is the net before any: after its recovery, or as it was.
    """

    seed: int
    cut: Cut | None
    steps: tuple[int, ...]

    @property
    def name(self) -> str:
        """What its files and the log call it."""
        return f"seed{self.seed}/{CONTROL if self.cut is None else self.cut.name}"

    @property
    def key(self) -> tuple[str, str, float]:
        """Criterion, budget and ratio as its results have them."""
        if self.cut is None:
            return CONTROL, "", 0.0
        return self.cut.row.criterion.name, self.cut.budget.value, self.cut.ratio


def cells_of(settings: Settings) -> list[Cell]:
    """List what settings ask for: for each seed the control, then budget by budget and ratio."""
    return [
        Cell(seed, cut, (0, *(n for n in settings.steps if _is_tuned(settings, cut, n))))
        for seed in settings.seeds
        for cut in (
            None,
            *(
                Cut(budget, ratio, row)
                for budget in settings.budgets
                for ratio in settings.ratios
                for row in settings.chosen
            ),
        )
    ]


def _is_tuned(settings: Settings, cut: Cut | None, steps: int) -> bool:
    return any(one.steps == steps and one.covers(cut) for one in settings.tunings)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a net.

    Attributes:
        seed: Which of the trained nets.
        criterion: The criterion's name, or ``CONTROL``.
        budget: What the ratio speaks of, ``"params"`` or ``"macs"``; empty for the control.
        ratio: What was asked for; 0 for the control.
        steps: Steps of fine-tuning; 0 for none.
        removed: Share of the parameters and of the MACs that is gone, by the budget's name.
        scores: The metrics.
        seconds: Time by stage; cutting counts for the first result of a cut that is made.
        cpu_seconds: Time that the process computed for, all threads together.
        hardware: What it ran on.
        commit: Of the repository.
        versions: Of the packages that matter.
    """

    seed: int
    criterion: str
    budget: str
    ratio: float
    steps: int
    removed: dict[str, float]
    scores: dict[str, float]
    seconds: dict[str, float]
    cpu_seconds: float
    hardware: str
    commit: str
    versions: dict[str, str]


class Store:
    """The results of one experiment, in a folder.

    Args:
        folder: Where; made if it is not there.
        settings: What the experiment is.

    Raises:
        UsageError: If the folder holds another experiment.
        DataError: If a file in it is not what was written.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        wanted, file = settings.identity, folder / "settings.json"
        if not file.exists():
            write(file, json.dumps(wanted, indent=1))
        found = read(file)
        # As JSON has it: its lists are tuples here.
        for name, value in json.loads(json.dumps(wanted)).items():
            if found.get(name) != value:
                raise UsageError(
                    f"'{folder}' holds another experiment: its {name} is {found.get(name)}, here "
                    f"it is {value}; remove it, or name another --folder"
                )

    def path(self, cell: Cell, steps: int) -> Path:
        """Return where a result is, or will be."""
        return self.folder / f"{cell.name}-{steps}.json"

    def left(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return the cells that lack results, each with the steps that it lacks."""
        found = []
        for cell in cells:
            lacking = tuple(n for n in cell.steps if not self.path(cell, n).exists())
            if lacking:
                found.append(replace(cell, steps=lacking))
        return found

    def put(self, cell: Cell, result: Result) -> None:
        """Write a result, whole or not at all."""
        write(self.path(cell, result.steps), json.dumps(asdict(result), indent=1))

    def all(self, settings: Settings) -> list[Result]:
        """Read what is there of the settings' seeds, budgets, ratios and steps, by seed and name.

        Raises:
            DataError: If a file is not what was written.
        """
        budgets, steps = {b.value for b in settings.budgets}, {0, *settings.steps}
        return [
            result
            for result in map(_result, sorted(self.folder.glob("seed*/*.json")))
            if result.seed in settings.seeds
            and result.steps in steps
            and (
                result.criterion == CONTROL
                or (result.budget in budgets and result.ratio in settings.ratios)
            )
        ]


def write(path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with renamed(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"'{path}': cannot be written: {error.strerror or error}") from error


def read(path: Path) -> dict[str, Any]:
    """Read what ``write`` wrote.

    Raises:
        DataError: If it cannot be read, or is something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"'{path}': cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"'{path}' is cut off, or no JSON: remove it, or the folder") from error
    if not isinstance(found, dict):
        raise DataError(f"'{path}' is not of this experiment: remove it, or the folder")
    return found


def _result(path: Path) -> Result:
    try:
        return Result(**read(path))
    except TypeError as error:
        raise DataError(f"'{path}' is no result: remove it, and it is made again") from error


def as_figures(scores: SaliencyScores) -> dict[str, float]:
    """Return the metrics by name, without the count of images."""
    return {name: value for name, value in asdict(scores).items() if name != "images"}


def lower_is_better(metric: str) -> bool:
    """Tell errors from metrics of which more is better."""
    return metric.endswith("mae")


@cache
def hardware(device: torch.device) -> str:
    """Name what is computed on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


@cache
def commit() -> str:
    """Return the repository's commit, with a plus where files differ from it."""
    root = Path(__file__).parents[3]

    def git(*words: str) -> str:
        ended = subprocess.run(
            ("git", "-C", str(root), *words), capture_output=True, text=True, check=False
        )
        return ended.stdout.strip() if ended.returncode == 0 else ""

    found = git("rev-parse", "--short", "HEAD")
    return f"{found}{'+' if git('status', '--porcelain') else ''}" if found else "unknown"


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that matter."""
    gpu = {"onnxruntime": "onnxruntime-gpu"}
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            found[name] = version(gpu[name])
    return found
