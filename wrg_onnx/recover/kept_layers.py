"""What was measured of layers, kept in a folder: other choices by it need not measure again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wrg_onnx.calibrate import Cache
from wrg_onnx.calibrate.cache import LAYERS_SUFFIX, LIMIT_VARIABLE, NAME_LENGTH
from wrg_onnx.calibrate.kept_arrays import UnsoundError, opened
from wrg_onnx.calibrate.kept_rows import digest_of
from wrg_onnx.channels.brought import brought
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.errors import UnreadableError
from wrg_onnx.extensions import Kind, Origin, lasting
from wrg_onnx.graph import Graph, fingerprint
from wrg_onnx.graph.session import runtime
from wrg_onnx.logs import logger_of
from wrg_onnx.progress import Progress, silent
from wrg_onnx.recover.measure import VERSION, MeasureOptions, measure_layers
from wrg_onnx.recover.measured import Measured
from wrg_onnx.recover.measured_arrays import from_arrays, size_of, to_arrays
from wrg_onnx.version import __version__

_LOG = logger_of(__name__)

_FORMAT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What was measured, now or before.

    Attributes:
        measured: What was found.
        problem: Why what is there was not used, or why nothing is kept; empty if all went well.
    """

    measured: Measured
    problem: str = ""


def find_or_measure(
    graph: Graph,
    data: DataSet,
    options: MeasureOptions,
    cache: Cache,
    *,
    progress: Progress = silent,
) -> Kept:
    """Return what ``measure_layers`` told of a model on these samples before, or measure it now.

    What is found is what was measured, to the bit. It is known again by the model, by what each
    sample feeds it, in their order, by the options, and by versions.

    Args:
        graph: The model.
        data: The samples, read one at a time.
        options: Where, and at which places.
        cache: Where it is kept, as long as there is room beside the rows of factors.
        progress: Told how many samples are done; nothing if none is looked at.

    Raises:
        StatisticsError: As ``measure_layers``.
    """
    rules = brought(Kind.RULE, graph)
    if not lasting(rules):
        problem = (
            "what layers read and make is not kept for other runs: nothing tells when a rule of "
            f"{next(one for one in rules if not lasting([one]))}, changes"
        )
        return Kept(measure_layers(graph, data, options, progress=progress), problem)
    key = _key(graph, data, options, rules)
    path = cache.folder / f"{key[:NAME_LENGTH]}{LAYERS_SUFFIX}"
    problem = ""
    try:
        found = _read(path, key, graph, len(data), 2 if options.halves else 1)
    except UnreadableError as error:
        if os.path.lexists(path):  # another run may have removed it meanwhile
            problem = f"{error}; the layers are measured anew"
    except UnsoundError:
        problem = f"'{path}' does not hold what layers of this model make; they are measured anew"
    else:
        cache.touch(path)
        _LOG.info("what the layers make of %d samples an earlier run has measured", len(data))
        return Kept(found)
    measured = measure_layers(graph, data, options, progress=progress)
    problems = (problem, _keep(measured, path, key, cache))
    return Kept(measured, "; ".join(filter(None, problems)))


def _key(graph: Graph, data: DataSet, options: MeasureOptions, rules: Sequence[Origin] = ()) -> str:
    """Return a hash of all that the measurement depends on."""
    versions = (_FORMAT, VERSION, __version__, runtime().__version__, np.__version__)
    parts = [*map(str, (*versions, *rules)), fingerprint(graph), repr(options)]
    parts += map(digest_of, data)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _keep(measured: Measured, path: Path, key: str, cache: Cache) -> str:
    """Write what was measured; return why it could not be."""
    size, room = size_of(measured), cache.room_for_layers()
    if size > room:
        return (
            f"what layers read and make was not kept for other runs: it takes {_mebibytes(size)}, "
            f"and {_mebibytes(max(room, 0))} of the {_mebibytes(cache.limit)} of the cache are "
            f"left ({LIMIT_VARIABLE} sets another limit)"
        )
    try:
        cache.write(path, key, to_arrays(measured))
    except OSError as error:
        return f"cannot keep what layers make in '{path}': {error.strerror}"
    return ""


def _mebibytes(size: int) -> str:
    return f"{-(-size // 2**20):,} MiB"


def _read(path: Path, key: str, graph: Graph, samples: int, parts: int) -> Measured:
    """Read what was measured.

    Raises:
        UnreadableError: If the file is not there, or broken.
        UnsoundError: If it holds something else.
    """
    with opened(path, key) as archive:
        return from_arrays(
            graph, samples, parts, lambda name, kind, size: archive.take(name, kind, (size,))
        )
