"""Finished points of a sweep, kept in a folder: a sweep that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from wrg_onnx.calibrate import Cache
from wrg_onnx.calibrate.cache import NAME_LENGTH, POINT_SUFFIX
from wrg_onnx.calibrate.kept_arrays import UnsoundError
from wrg_onnx.calibrate.kept_rows import digest_of
from wrg_onnx.channels.brought import brought
from wrg_onnx.extensions import Kind, Origin, lasting
from wrg_onnx.files import open_kept
from wrg_onnx.graph import Graph, fingerprint
from wrg_onnx.graph.save import data_path
from wrg_onnx.graph.session import runtime
from wrg_onnx.pipeline.commands import options_of
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.report.from_plain import from_plain
from wrg_onnx.report.sweep import SweepCut
from wrg_onnx.version import __version__

_FORMAT = 3

_MOST_BYTES = 2**22
"""A point takes some kilobytes; what is larger is none, and is not read."""

_BROKEN = (ValueError, RecursionError, OverflowError, UnsoundError)
"""What reading a damaged point raises."""


class KeptPoints:
    """What was found of points before, each in a file of its own.

    A point is known again by the model, all samples, all options of its cut, the metric, versions,
    and the machine, whose latency it holds. It is taken only as it was written, and where its model
    was written, only while that is there as it was.

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
        self._cache, self._graph = cache, graph
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
            What became of it; None if it was not made, or its file is not there as it was.
        """
        if self._cache is None or not self._keeps(config):
            return None
        path, key = self._place(config, output)
        try:
            found, model = _read(path, key)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror or str(error)
            self.problems += (
                f"'{path}' does not hold the point of a sweep ({why}); it is made anew",
            )
            return None
        except _BROKEN:
            self.problems += (f"'{path}' does not hold the point of a sweep; it is made anew",)
            return None
        if found is None or (
            output is not None
            and (found.output != str(output) or not _holds(_files(output), model))
        ):
            return None
        self._cache.touch(path)
        return found

    def begin(self, config: PruneConfig, output: Path, part: Path) -> None:
        """Note that the model of a point, which is whole by now, is about to take its place.

        Args:
            config: What makes the point.
            output: Where it goes.
            part: Where it is.
        """
        if self._keeps(config):
            path, key = self._place(config, output)
            self._write(path, {"key": key, "model": _digest([part]), "cut": None})

    def has_begun(self, config: PruneConfig, output: Path) -> bool:
        """Tell whether a file is there because a sweep was stopped before it kept the point."""
        if not self._keeps(config):
            return False
        path, key = self._place(config, output)
        try:
            _, model = _read(path, key)
        except (OSError, *_BROKEN):  # `find` has told of it
            return False
        return model is not None and _holds([output], model)

    def keep(self, config: PruneConfig, output: Path | None, cut: SweepCut) -> None:
        """Keep what was found of a point. A folder that cannot be written to is a problem."""
        if not self._keeps(config):
            return
        path, key = self._place(config, output)
        try:
            plain = asdict(cut)
            _check_numbers(plain)
            model = None if output is None else _digest(_files(output))
        except OSError as error:
            self.problems += (f"cannot keep a point: '{output}': {error.strerror}",)
        except UnsoundError:
            self.problems += (
                f"the point at ratio {config.ratio:g} is not kept: it has numbers that are none",
            )
        else:
            self._write(path, {"key": key, "model": model, "cut": plain})

    def _keeps(self, config: PruneConfig) -> bool:
        """Tell whether points are kept: all code that they need must have a version."""
        return self._cache is not None and lasting(self._brought(config))

    def _brought(self, config: PruneConfig) -> tuple[Origin, ...]:
        """Return who brings what a point needs; our own is known by the package's version."""
        criterion = config.criterion
        found = [criterion.origin, *(factor.origin for factor in criterion.factors)]
        found += brought(Kind.RULE, self._graph)
        if criterion.needs_gradient or config.recover is Recovery.FINETUNE:
            found += brought(Kind.TWIN, self._graph)
        return tuple(found)

    def _write(self, path: Path, held: Mapping[str, Any]) -> None:
        assert self._cache is not None
        text = json.dumps({**held, "seal": _seal(held)})
        try:
            self._cache.write_text(path, held["key"], text)
        except OSError as error:
            self.problems += (f"cannot keep a point in '{path}': {error.strerror}",)

    def _place(self, config: PruneConfig, output: Path | None) -> tuple[Path, str]:
        assert self._cache is not None
        criterion = config.criterion
        parts = [
            *self._common, f"{config.ratio!r}", criterion.name, *map(str, criterion.factors),
            str(criterion.version), *map(str, self._brought(config)), *options_of(config),
            repr(config.timing), str(output is not None),
        ]  # fmt: skip
        # Names of files need not be UTF-8.
        key = hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()
        return self._cache.folder / f"{key[:NAME_LENGTH]}{POINT_SUFFIX}", key


def _seal(held: Mapping[str, Any]) -> str:
    """Return a hash of what a file of a point holds beside it."""
    written = json.dumps(held, sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()


def _read(path: Path, key: str) -> tuple[SweepCut | None, str | None]:
    """Read what was kept: the point, None if it was only begun, and the digest of its model's file.

    Raises:
        OSError: If the file cannot be read, or is none.
        ValueError: If it holds something else.
        RecursionError: Likewise.
        OverflowError: Likewise.
        UnsoundError: Likewise.
    """
    with open_kept(path) as stream:
        text = stream.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise UnsoundError
    held = json.loads(text.decode("utf-8"))
    if not isinstance(held, dict) or set(held) != {"key", "model", "cut", "seal"}:
        raise UnsoundError
    seal, model = held.pop("seal"), held["model"]
    if held["key"] != key or seal != _seal(held):
        raise UnsoundError
    if not (model is None or isinstance(model, str)):
        raise UnsoundError
    if held["cut"] is None:
        return None, model
    _check_numbers(held["cut"])
    cut = from_plain(SweepCut, held["cut"])
    images = cut.images
    if images is not None and any(len(one) != images.images for one in images.values.values()):
        raise UnsoundError
    return cut, model


_SIGNED = ("change", "reached")
"""What may be below zero: how a metric changed, and a share whose count rose by added biases."""

_ENDLESS = ("change", "high", "relative_error")
"""What may be infinite: an interval of a single turn, an error beside nothing."""


def _check_numbers(plain: Any, names: tuple[str, ...] = ()) -> None:
    """Refuse numbers that nothing that is counted or measured can have.

    Raises:
        UnsoundError: If there is one.
    """
    if isinstance(plain, dict):
        for name, value in plain.items():
            _check_numbers(value, (*names, name))
    elif isinstance(plain, list):
        for value in plain:
            _check_numbers(value, names)
    elif isinstance(plain, (int, float)):
        below = plain < 0 and not set(names) & {*_SIGNED}
        endless = plain in (math.inf, -math.inf) and not set(names) & {*_ENDLESS}
        large = isinstance(plain, int) and plain >= 2**63
        if below or endless or large or plain != plain:  # noqa: PLR0124 - NaN alone differs from itself
            raise UnsoundError


def _holds(files: Sequence[Path], model: str | None) -> bool:
    """Tell whether the files of a point's model are where they are wanted, as they were written."""
    try:
        return _digest(files) == model
    except OSError:  # gone, or no files any more
        return False


def _files(output: Path) -> list[Path]:
    """Return the file of a model, and that of its weights if they are beside it."""
    return [path for path in (output, data_path(output)) if path == output or path.exists()]


def _digest(files: Sequence[Path]) -> str:
    """Return a hash of files.

    Raises:
        OSError: If one cannot be read, or is none.
    """
    found = hashlib.sha256()
    for file in files:
        with open_kept(file) as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()
