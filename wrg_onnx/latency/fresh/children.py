"""Processes that run a model each, and how to talk to them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from wrg_onnx.errors import DataError, ModelError, UsageError, one_line
from wrg_onnx.graph import Array, Shape
from wrg_onnx.latency.fresh.places import Place

MOST_SAID = 400
"""Characters of what ONNX Runtime says; what it lacks memory for it tells behind the usual 240."""

PROGRAM = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class Task:
    """What a process runs.

    Attributes:
        label: What messages call the model.
        model: Its file.
        feeds: A file of its inputs, from ``write_feeds``.
        place: Where ONNX Runtime computes.
        threads: With how many threads.
        shapes: Of its inputs, for messages.
        profile: The beginning of the names of the files of a profile; None for none.
    """

    label: str
    model: Path
    feeds: Path
    place: Place
    threads: int
    shapes: Mapping[str, Shape]
    profile: Path | None = None


def write_feeds(path: Path, feeds: Mapping[str, Array]) -> None:
    """Write the inputs of a model for its process, an .npz file without pickled objects."""
    arrays: dict[str, Any] = {f"array{number}": a for number, a in enumerate(feeds.values())}
    np.savez(path, allow_pickle=False, names=np.array(list(feeds), np.str_), **arrays)


class Child:
    """A process that runs one model. Leaving the ``with`` block ends it, whatever it is doing.

    Args:
        task: What it runs.
        program: What Python runs there.
    """

    def __init__(self, task: Task, program: Path = PROGRAM) -> None:
        self._task = task
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - __exit__ closes it
        # A group of its own: Ctrl-C is for this process, which then ends the other.
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # what was not sent yet has no reader
                    stream.close()
        self._errors.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def open(self) -> None:
        """Let it read the model.

        Raises:
            ModelError: If ONNX Runtime refuses the model, or the process dies of it.
            UsageError: If the provider does not start.
        """
        task = self._task
        answer = self._ask(
            "open",
            "as it loads the model",
            model=str(task.model.absolute()),
            feeds=str(task.feeds),
            provider=task.place.runtime_name,
            options=task.place.options(task.threads),
            threads=task.threads,
            profile=None if task.profile is None else str(task.profile),
        )
        if "error" in answer:
            said = answer["error"].replace(f"Load model from {task.model.absolute()} failed:", "")
            raise ModelError(
                f"'{task.label}': ONNX Runtime refuses it: {one_line(said, MOST_SAID)}"
            )
        if answer["providers"][0] != task.place.runtime_name:
            raise UsageError(
                f"provider {task.place.name}: this ONNX Runtime has it, but it does not start: a "
                "driver or library is missing or of another version"
            )

    def run(self, times: int) -> Sequence[int]:
        """Let it run the model; return how many nanoseconds each call took.

        Raises:
            DataError: If ONNX Runtime fails on the inputs.
            ModelError: If the process dies of it.
        """
        answer = self._ask("run", "as it runs the model", times=times)
        if "error" in answer:
            shapes = ", ".join(f"{k} {list(v)}" for k, v in self._task.shapes.items())
            raise DataError(
                f"'{self._task.label}': ONNX Runtime fails on the inputs {shapes}: "
                f"{one_line(answer['error'], MOST_SAID)}"
            )
        found: list[int] = answer["ns"]
        return found

    def peak_bytes(self) -> int | None:
        """Return the most memory it held so far beyond what it held before it read the model.

        Returns:
            Of its resident memory, on the host; None where the system does not tell.
        """
        found: int | None = self._ask("peak", "after the model ran")["bytes"]
        return found

    def end_profile(self) -> Path:
        """Return the path of the profile, which the process then has written."""
        return Path(self._ask("profile", "as it writes a profile")["file"])

    def _ask(self, what: str, when: str, **rest: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # the process is dead, as the missing answer tells
            self._process.stdin.write(f"{json.dumps({'do': what, **rest})}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise self._death(when)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _death(self, when: str) -> ModelError:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").splitlines()
        last = f": {one_line(said[-1])}" if said else ""
        return ModelError(
            f"'{self._task.label}': the process of its own {_how_it_ended(code)} {when}{last}"
        )


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    # Systems without memory left end processes so, and say so nowhere that we could read.
    likely = " (likely out of memory)" if name == "SIGKILL" else ""
    return f"was killed by {name}{likely}"
