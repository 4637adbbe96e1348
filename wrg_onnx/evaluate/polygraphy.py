"""What a model was fed and what it gave, in the files of NVIDIA's Polygraphy.

``polygraphy run`` feeds them to another runtime, such as TensorRT, and compares what that gives.
The format is that of ``polygraphy.json``: an array is the base64 text of its ``.npy`` file, and a
record is marked with the name of its class.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from wrg_onnx.data.dataset import DataSet
from wrg_onnx.errors import DataError, OutputError, UsageError
from wrg_onnx.files import check_output, renamed
from wrg_onnx.graph import Array, Session
from wrg_onnx.progress import Progress, silent

MOST_SAMPLES = 16
"""How many samples are written: enough to tell a runtime that computes something else."""

MOST_BYTES = 256 << 20
"""How many bytes of arrays are written; Polygraphy reads the files as a whole. One sample is
written in any case."""

MARK = "polygraphy_class"

RUNNER = "wrg-onnx"
"""By which name Polygraphy tells these outputs from those of the runtime that it compares."""

OF_NUMPY = "fiub"
"""The kinds of dtype that a ``.npy`` file holds without pickling: not bfloat16, and no text."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written for Polygraphy.

    Attributes:
        inputs: The file of inputs, for ``--load-inputs``.
        outputs: The file of the pruned model's outputs, for ``--load-outputs``.
        samples: How many samples are in them.
        judged: How many samples the models were judged on; the first of them were written.
        left_out: The outputs that are not in the file: they are no tensors of numbers that numpy
            knows.
    """

    inputs: str
    outputs: str
    samples: int
    judged: int
    left_out: tuple[str, ...] = ()


def outputs_path(inputs: Path) -> Path:
    """Return where the outputs go that belong to a file of inputs."""
    return inputs.with_suffix(".outputs.json")


def check_export(inputs: Path, *, force: bool) -> None:
    """Refuse a path early, before the work is done.

    Args:
        inputs: Where the inputs are going to be written.
        force: Whether existing files may be replaced.

    Raises:
        UsageError: If the name does not end in .json: Polygraphy takes others for folders.
        OutputError: As ``check_output``, for either file.
    """
    if inputs.suffix.lower() != ".json":
        such = inputs.with_suffix(".json") if inputs.name else Path("inputs.json")
        raise UsageError(f"export-inputs '{inputs}' must end in .json, such as '{such}'")
    for path in (inputs, outputs_path(inputs)):
        check_output(path, force=force, option="--export-inputs")


def export(
    session: Session, data: DataSet, inputs: Path, *, force: bool, progress: Progress = silent
) -> Exported:
    """Run a model on the first samples, and write what it is fed and gives.

    Both files appear, or none does. One sample at a time is in memory.

    Args:
        session: The model whose outputs another runtime's are going to be held against.
        data: The samples.
        inputs: Where the inputs go; the outputs go beside, see ``outputs_path``.
        force: Whether existing files may be replaced.
        progress: Told how many samples are written.

    Returns:
        What was written.

    Raises:
        UsageError: As ``check_export``.
        OutputError: Likewise, or if a file cannot be written.
        DataError: If an input or every output is of a type that these files do not hold.
    """
    check_export(inputs, force=force)
    count = min(len(data), MOST_SAMPLES)
    outputs, written = outputs_path(inputs), 0
    left_out: dict[str, None] = {}
    try:
        inputs.parent.mkdir(parents=True, exist_ok=True)
        # The outputs take their place first: inputs that are there have theirs.
        with (
            renamed(inputs) as fed_part,
            renamed(outputs) as given_part,
            fed_part.open("w", encoding="ascii") as fed,
            given_part.open("w", encoding="ascii") as given,
        ):
            fed.write("[")
            given.write(f'{{"lst": [["{RUNNER}", [')
            for feeds, found in _runs(session, data, count):
                given_now = {name: found[name] for name in session.outputs if _fits(found, name)}
                left_out |= dict.fromkeys(n for n in session.outputs if n not in given_now)
                if not given_now:
                    raise DataError(
                        "no output is a tensor of numbers that Polygraphy's files hold: leave out "
                        "--export-inputs"
                    )
                between = ",\n" if written else "\n"
                _write(fed, between, {name: _array(value) for name, value in feeds.items()})
                _write(given, between, _iteration(given_now))
                written += 1
                progress("export", written, count)
            fed.write("\n]\n")
            given.write(f'\n]]], "{MARK}": "RunResults"}}\n')
    except OSError as error:
        raise OutputError(f"'{inputs}': cannot be written: {error.strerror}") from error
    return Exported(str(inputs), str(outputs), written, len(data), tuple(left_out))


def _runs(
    session: Session, data: DataSet, count: int
) -> Iterator[tuple[Mapping[str, Array], Mapping[str, Array]]]:
    """Yield what the model is fed and gives, until there is enough of it."""
    size = 0
    for number in range(count):
        feeds = data[number].feeds
        _check_feeds(feeds)
        found = session.run(feeds)
        size += sum(array.nbytes for array in (*feeds.values(), *found.values()))
        if number and size > MOST_BYTES:
            return
        yield feeds, found


def _fits(found: Mapping[str, Array], name: str) -> bool:
    """Tell whether an output is a tensor that a ``.npy`` file holds."""
    return name in found and found[name].dtype.kind in OF_NUMPY


def _check_feeds(feeds: Mapping[str, Array]) -> None:
    for name, array in feeds.items():
        if array.dtype.kind not in OF_NUMPY:
            raise DataError(
                f"input '{name}' is of {array.dtype}, which Polygraphy's files do not hold: leave "
                "out --export-inputs"
            )


def _write(stream: TextIO, between: str, record: Mapping[str, Any]) -> None:
    stream.write(between)
    json.dump(record, stream)


def _iteration(outputs: Mapping[str, Array]) -> dict[str, Any]:
    values = {name: {"values": _array(value), MARK: "LazyArray"} for name, value in outputs.items()}
    # Nobody timed this run: what Polygraphy does not find it does not show.
    return {"outputs": values, "runtime": None, "runner_name": RUNNER, MARK: "IterationResult"}


def _array(array: Array) -> dict[str, str]:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return {"array": base64.b64encode(stream.getbuffer()).decode("ascii"), MARK: "ndarray"}
