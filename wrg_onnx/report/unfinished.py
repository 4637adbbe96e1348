"""Stages that are missing from a run whose model is proven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A stage that is missing because of an error; the model was proven before it.

    Attributes:
        stage: ``round N`` (from the second on), ``recover``, ``accuracy``, ``latency`` or
            ``report``, which is about layer widths, recovery and notes.
        error: The class of the error.
        message: What it says, on one line.
        known: Whether the package raises such an error on purpose, or memory ran out. Another one
            is a fault of the package.
    """

    stage: str
    error: str
    message: str
    known: bool


_MISSING: Mapping[str, str] = {
    "recover": "The weights were not recovered, and the model is as it was cut",
    "accuracy": "The accuracy was not measured",
    "latency": "The latency was not measured",
    "report": "The report is not complete",
}


def unfinished_lines(stages: Sequence[Unfinished]) -> Iterator[str]:
    """Yield a sentence for each error, with all that it left out."""
    errors: dict[tuple[str, str, bool], list[str]] = {}
    for one in stages:
        errors.setdefault((one.error, one.message, one.known), []).append(one.stage)
    for (error, message, known), names in errors.items():
        said = [_MISSING.get(name, f"The model is what was proven before {name}") for name in names]
        missing = "; ".join([said[0], *(text[0].lower() + text[1:] for text in said[1:])])
        advice = "" if known else ". This is a fault of wrg-onnx: please report it"
        because = f"{error}: {message}" if message else error
        yield f"{missing} ({because}){advice}."
