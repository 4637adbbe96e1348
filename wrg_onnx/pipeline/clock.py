"""Times the stages of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from wrg_onnx.progress import Progress


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
        """Time what is done inside."""
        self.progress(name, 0, 0)
        start, cpu_start = time.perf_counter(), time.process_time()
        try:
            yield
        finally:  # of a stage that fails, too
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            spent = time.process_time() - cpu_start
            self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + spent
