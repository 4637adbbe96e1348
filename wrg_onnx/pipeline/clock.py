"""Times the stages of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from wrg_onnx.errors import DataError, ModelError, OutOfMemoryError, UnreadableError
from wrg_onnx.pipeline.out_of_memory import is_lack_of_memory, out_of_memory
from wrg_onnx.progress import Progress

_TOLD = (OutOfMemoryError, UnreadableError)
"""Errors that say already what is to be done."""


@dataclass(slots=True)
class Clock:
    """Adds up the time of each stage.

    Attributes:
        progress: Told when a stage begins.
        seconds: By stage; of one that runs in several rounds, all of them together.
        cpu_seconds: The same in CPU time, of all threads of this process: on a machine that is busy
            with other things it is what the stage itself cost.
    """

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside.

        Raises:
            OutOfMemoryError: If it needs more memory than there is.
        """
        self.progress(name, 0, 0)
        start, cpu_start = time.perf_counter(), time.process_time()
        try:
            yield
        except (MemoryError, RuntimeError, DataError, ModelError) as error:
            # A file that promises more than the machine holds is broken, and says so.
            if is_lack_of_memory(error) and not isinstance(error, _TOLD):
                raise out_of_memory(name, error) from error
            raise
        finally:  # of a stage that fails, too
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            spent = time.process_time() - cpu_start
            self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + spent
