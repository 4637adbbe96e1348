"""Where and how a run was made."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata

from wrg_onnx.graph import Provider, runtime, usable_cores
from wrg_onnx.latency.machine import processor
from wrg_onnx.report.details import DataSource, Environment, Version
from wrg_onnx.report.small import short_text
from wrg_onnx.version import __version__

MOST_WORDS = 200
"""Words of a command that are kept."""

LONGEST_WORD = 500
"""Bytes of one of them in JSON."""


def environment_of(
    provider: Provider, seed: int, words: Sequence[str], data: DataSource | None
) -> Environment:
    """Say where this process runs, and what it was asked for.

    Args:
        provider: Where ONNX Runtime computed.
        seed: Of all that was drawn.
        words: Of the command line, or the call from Python as a single one.
        data: What it looked at.
    """
    return Environment(
        versions=(
            Version("wrg-onnx", __version__),
            Version("python", platform.python_version()),
            Version("onnx", _version("onnx")),
            Version("onnxruntime", runtime().__version__),
            Version("numpy", _version("numpy")),
            Version("torch", _version("torch")),
        ),
        platform=short_text(platform.platform()),
        processor=short_text(processor()),
        cores=usable_cores(),
        provider=provider.value,
        seed=seed,
        command=_kept_words(words),
        data=data,
        date=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
    )


def _kept_words(words: Sequence[str]) -> tuple[str, ...]:
    """Keep as many words as fit; three dots stand for the others."""
    kept = [short_text(word, LONGEST_WORD) for word in words]
    return tuple(kept if len(kept) <= MOST_WORDS else [*kept[: MOST_WORDS - 1], "..."])


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
