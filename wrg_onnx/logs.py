"""Loggers whose records hold nothing that a terminal, or who reads a log file, would obey."""

from __future__ import annotations

import logging

from wrg_onnx.printable import printable, printable_lines

PACKAGE = "wrg_onnx"
"""The logger above those of all modules."""

_PLAIN = logging.Formatter()


def logger_of(module: str) -> logging.Logger:
    """Return the logger of a module of the package.

    Args:
        module: Its ``__name__``.
    """
    logger = logging.getLogger(module)
    logger.addFilter(_make_printable)
    return logger


def _make_printable(record: logging.LogRecord) -> bool:
    """Escape what names in a model brought into a record, whoever handles it."""
    record.msg, record.args = printable(record.getMessage()), None
    if record.exc_info and not record.exc_text:
        # A formatter takes this text where there is one, and makes none of its own.
        record.exc_text = printable_lines(_PLAIN.formatException(record.exc_info))
    return True
