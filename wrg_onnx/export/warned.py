"""What is warned of while a module is exported: told in the report instead of on stderr."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from wrg_onnx.errors import one_line
from wrg_onnx.logs import logger_of

_LOG = logger_of(__name__)


@contextmanager
def told_warnings() -> Iterator[list[str]]:
    """Collect the warnings of what is inside, each once, and log them.

    Left out is what no user can mend: both of torch's exporters warn of deprecated functions that
    they call themselves, and of a batch that inputs share on purpose.

    Yields:
        Where they are at the end.
    """
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("ignore", r"# The axis name: batch will not be used")
        try:
            yield found
        finally:
            said = (f"{one.category.__name__}: {one_line(str(one.message))}" for one in caught)
            found += dict.fromkeys(said)
            for line in found:
                _LOG.warning(line)
