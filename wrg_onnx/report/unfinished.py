"""Stages that are missing from a run whose model is proven."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wrg_onnx.errors import UnfinishedError


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A stage that is missing because of an error; the model was proven before it.

    Attributes:
        stage: ``round N`` (from the second on), ``recover``, ``convert`` (to float16 or int8),
            ``accuracy``, ``latency`` or ``report``, which is about layer widths, recovery and
            notes.
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
    "convert": "The numbers were not changed, and the model is in float32",
    "accuracy": "The accuracy was not measured",
    "latency": "The latency was not measured",
    "report": "The report is not complete",
    "page": "The page was not written",
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


class _OfModel(Protocol):
    """The report of a run that makes a model."""

    @property
    def output(self) -> str | None: ...

    @property
    def unfinished(self) -> tuple[Unfinished, ...]: ...


def proven_model(report: _OfModel) -> str:
    """Say that the model of a run is there, as the beginning of what is not."""
    if report.output is None:
        return "the model is proven"
    return f"'{report.output}' is written and proven"


def check_finished(report: _OfModel) -> None:
    """Refuse a run some of whose stages are missing: whoever measures must not take it for a whole.

    Args:
        report: Of a pruning or a fine-tuning.

    Raises:
        UnfinishedError: If a stage after the proof failed.
    """
    if report.unfinished:
        stages = " and ".join(f"'{one.stage}'" for one in report.unfinished)
        first = report.unfinished[0]
        raise UnfinishedError(
            f"{proven_model(report)}, but {stages} failed: {first.error}: {first.message}"
        )
