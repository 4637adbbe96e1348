"""What is tried once a model is proven: an error there costs its stage, and not the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from wrg_onnx.errors import WrgError, one_line
from wrg_onnx.logs import logger_of
from wrg_onnx.report.unfinished import Unfinished

_LOG = logger_of(__name__)


class Attempts:
    """Runs stages, and notes those that fail once there is a proven model.

    Attributes:
        proven: Whether there is something to write; before that, an error goes on to the caller.
        failed: The stages that failed, in order.
    """

    def __init__(self, *, proven: bool = False) -> None:
        self.proven = proven
        self.failed: tuple[Unfinished, ...] = ()

    @contextmanager
    def stage(self, *names: str) -> Iterator[None]:
        """Run what is inside; note an error, with its traceback in the log, and go on behind it.

        Out of memory is an error as any other. Whoever interrupts the run ends it.

        Args:
            *names: The stage, or all those that are missing if this fails.
        """
        try:
            yield
        except Exception as error:
            if not self.proven:
                raise
            # Its text alone is held: a traceback holds what was computed until then.
            known = isinstance(error, (WrgError, MemoryError))
            kind, message = type(error).__name__, one_line(error, most=1000)
            self.failed += tuple(Unfinished(name, kind, message, known) for name in names)
            _LOG.log(
                logging.WARNING if known else logging.ERROR,
                "'%s' failed behind the proof", "', '".join(names), exc_info=True,
            )  # fmt: skip
