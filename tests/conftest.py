"""Options and fixtures that every folder of tests uses."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scipy.linalg  # noqa: F401 - only libraries that are loaded can be limited
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent))  # for `import strategies`

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew from what tests find"
    )


def pytest_collection_finish() -> None:
    """Keep thousands of collected tests out of every later collection of garbage.

    The proof collects garbage before it makes the pruned model; that took three quarters of the
    time of the tests of operators.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread_per_worker() -> Iterator[None]:
    """Let workers side by side not fight for the cores; results do not depend on it."""
    with threadpool_limits(1 if "PYTEST_XDIST_WORKER" in os.environ else None):
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what commands remember between runs away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


class _Unfinished(logging.Handler):
    """Keeps what runs say of stages that failed behind the proof."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@pytest.fixture(autouse=True)
def finished(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose run goes on behind an error, unless it is marked ``unfinished``."""
    handler, logger = _Unfinished(), logging.getLogger("wrg_onnx.pipeline.attempts")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    if request.node.get_closest_marker("unfinished") is None:
        assert not handler.said, "\n".join(handler.said)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with ``tests/golden/NAME``, or write it there with ``--update-golden``."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), f"{path} is missing: run `pytest --update-golden` and read the diff"
        assert text == path.read_text(encoding="utf-8"), "run `pytest --update-golden` if intended"

    return check
