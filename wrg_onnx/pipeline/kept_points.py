"""Finished points of a sweep, kept in a folder: a sweep that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import numpy as np

from wrg_onnx.calibrate import Cache
from wrg_onnx.calibrate.cache import MOST_TEXT_BYTES, NAME_LENGTH, POINT_SUFFIX
from wrg_onnx.calibrate.kept_rows import digest_of
from wrg_onnx.files import read_ordinary
from wrg_onnx.graph import Graph, fingerprint
from wrg_onnx.graph.session import runtime
from wrg_onnx.pipeline.commands import options_of
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.report.from_plain import from_plain
from wrg_onnx.report.sweep import SweepCut
from wrg_onnx.version import __version__

_FORMAT = 1


class KeptPoints:
    """What was found of points before, each in a file of its own.

    A point is known again by the model, all samples, all options of its cut, the metric, versions,
    and the machine, whose latency it holds.

    Args:
        cache: The folder; None keeps nothing.
        graph: The model.
        samples: What the sweep looks at and judges on.
        metric: The name of the metric that points show.

    Attributes:
        problems: Why what is there was not used, or a point could not be kept.
    """

    def __init__(self, cache: Cache | None, graph: Graph, samples: Samples, metric: str) -> None:
        self.problems: tuple[str, ...] = ()
        self._cache = cache
        if cache is None:
            return
        versions = (_FORMAT, __version__, runtime().__version__, np.__version__)
        parts = [*map(str, versions), platform.node(), str(os.cpu_count()), metric]
        parts.append(fingerprint(graph))
        parts += [digest_of(one) for data in (samples.calibration, samples.validation)
                  for one in data]  # fmt: skip
        self._common = parts

    def find(self, config: PruneConfig, output: Path | None) -> SweepCut | None:
        """Return what was found of a point before.

        Args:
            config: What makes the point.
            output: The file that must hold its model; None for no file.

        Returns:
            What became of it; None if it was not made, or its file is not there any more.
        """
        if self._cache is None:
            return None
        path, key = self._place(config, output)
        try:
            found = _read(path, key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            self.problems += (f"'{path}' does not hold the point of a sweep; it is made anew",)
            return None
        if output is not None and not _is_there(output, found):
            return None
        self._cache.touch(path)
        return found

    def keep(self, config: PruneConfig, output: Path | None, cut: SweepCut) -> None:
        """Keep what was found of a point. A folder that cannot be written to is a problem."""
        if self._cache is None:
            return
        path, key = self._place(config, output)
        try:
            self._cache.write_text(path, key, json.dumps({"key": key, "cut": asdict(cut)}))
        except OSError as error:
            self.problems += (f"cannot keep a point in '{path}': {error.strerror}",)

    def _place(self, config: PruneConfig, output: Path | None) -> tuple[Path, str]:
        assert self._cache is not None
        criterion = config.criterion
        parts = [
            *self._common, f"{config.ratio!r}", criterion.name, *map(str, criterion.factors),
            *options_of(config), repr(config.timing), str(output is not None),
        ]  # fmt: skip
        # Names of files need not be UTF-8.
        key = hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()
        return self._cache.folder / f"{key[:NAME_LENGTH]}{POINT_SUFFIX}", key


def _read(path: Path, key: str) -> SweepCut:
    """Read what was kept.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds something else.
    """
    held = json.loads(read_ordinary(path, MOST_TEXT_BYTES))
    if not isinstance(held, dict) or held.get("key") != key:
        raise ValueError("another key")
    return from_plain(SweepCut, held.get("cut"))


def _is_there(output: Path, cut: SweepCut) -> bool:
    """Tell whether the file of a point's model is where it is wanted, as large as it was."""
    return (
        cut.output == str(output)
        and output.is_file()
        and output.stat().st_size == cut.cost.file_bytes
    )
