"""One file per result, written whole: a run that was stopped goes on, and pieces add up."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from reproduction.settings import Row, Settings
from wrg_onnx.errors import DataError, OutputError, UsageError
from wrg_onnx.evaluate.saliency import SaliencyScores
from wrg_onnx.files import renamed

CONTROL = "unpruned"
"""The row of the net that is fine-tuned like the others, and not cut."""

PACKAGES = ("wrg-onnx", "torch", "onnxruntime", "onnx", "numpy", "pysodmetrics")


@dataclass(frozen=True, slots=True)
class Cell:
    """One net to cut, tune and judge.

    Attributes:
        seed: Which of the trained nets.
        ratio: Share of the parameters to remove; 0 for the control.
        row: The criterion; None for the control.
    """

    seed: int
    ratio: float
    row: Row | None

    @property
    def name(self) -> str:
        """What its file and the log call it."""
        what = CONTROL if self.row is None else f"{self.row.criterion.name}-{self.ratio:g}"
        return f"seed{self.seed}/{what}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a net.

    Attributes:
        seed: Which of the trained nets.
        ratio: What was asked for.
        criterion: The criterion's name, or ``CONTROL``.
        removed: Share of the parameters that is gone.
        before: The metrics before fine-tuning; of a cut net after its recovery.
        after: The metrics after fine-tuning.
        seconds: Time by stage.
        cpu_seconds: Time that the process computed for, all threads together.
        hardware: What it ran on.
        commit: Of the repository.
        versions: Of the packages that matter.
    """

    seed: int
    ratio: float
    criterion: str
    removed: float
    before: dict[str, float]
    after: dict[str, float]
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
        begins: Whether a folder without an experiment becomes one; otherwise it is refused.

    Raises:
        UsageError: If the folder holds another experiment, or none.
        DataError: If a file in it is not what was written.
    """

    def __init__(self, folder: Path, settings: Settings, *, begins: bool = True) -> None:
        self.folder = folder
        wanted, file = settings.identity, folder / "settings.json"
        if not file.exists():
            if not begins:
                raise UsageError(f"'{folder}' holds no results yet: run without --table-only")
            write(file, json.dumps(wanted, indent=1))
        found = read(file)
        # As JSON has it: its lists are tuples here.
        for name, value in json.loads(json.dumps(wanted)).items():
            if found.get(name) != value:
                raise UsageError(
                    f"'{folder}' holds another experiment: its {name} is {found.get(name)}, here "
                    f"it is {value}; remove it, or name another --folder"
                )

    def path(self, cell: Cell) -> Path:
        """Return where a result is, or will be."""
        return self.folder / f"{cell.name}.json"

    def put(self, cell: Cell, result: Result) -> None:
        """Write a result, whole or not at all."""
        write(self.path(cell), json.dumps(asdict(result), indent=1))

    def all(self, settings: Settings) -> list[Result]:
        """Read what is there of the settings' seeds and ratios, by seed and name.

        Raises:
            DataError: If a file is not what was written.
        """
        paths = sorted(self.folder.glob("seed*/*.json"))
        found = (_result(path) for path in paths)
        ratios = (0.0, *settings.ratios)
        return [r for r in found if r.seed in settings.seeds and r.ratio in ratios]


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
