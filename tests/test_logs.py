"""What the package logs holds no control characters, whoever shows it."""

from __future__ import annotations

import io
import logging

import pytest

from wrg_onnx.logs import logger_of

NAME = "\x1b[31mnode\nforged line\u202e"


@pytest.fixture
def log():
    """A logger of the package, and what a plain handler of a user writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    parent = logging.getLogger("wrg_onnx")
    parent.addHandler(handler)
    yield logger_of("wrg_onnx.some.module"), stream
    parent.removeHandler(handler)


def raised(error):
    """Return an error with a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_a_name_in_a_record_is_escaped(log):
    logger, stream = log
    logger.warning("no rule for '%s' (%d)", NAME, 3)
    assert stream.getvalue() == "no rule for '\\x1b[31mnode\\nforged line\\u202e' (3)\n"


def test_a_name_in_a_traceback_is_escaped(log):
    logger, stream = log
    logger.error("failed", exc_info=raised(ValueError(NAME)))
    written = stream.getvalue()
    assert "Traceback (most recent call last)" in written
    assert "ValueError: \\x1b[31mnode" in written
    assert "\x1b" not in written
    assert "\u202e" not in written


def test_the_exception_itself_is_still_in_the_record(log, caplog):
    logger, _ = log
    error = ValueError(NAME)
    logger.error("failed", exc_info=error)
    assert caplog.records[0].exc_info[1] is error
