"""What came of one tool on one model."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peers.child import Ended

TOLERANCE = 1e-4
"""Largest difference of an output, relative to its largest value, that needs no explanation."""

ROUNDING_FACTOR = 2
"""How often the masked original's own rounding a larger difference may be."""

NOISE = 0.1
"""Rounding from which the outputs say nothing: the model amplifies it to chaos."""

ENOUGH = 0.25
"""Share of the parameters from which a model counts as cut."""

LEAST = 0.0005
"""Share of the parameters below which nothing was removed."""


class Outcome(enum.Enum):
    """The classes, best first."""

    CUT = "cut"
    LITTLE = "cut a little"
    NOTHING = "nothing removed"
    REFUSED = "refused"
    UNJUDGED = "not judged"
    BROKEN = "broken file"
    WRONG = "wrong outputs"
    TIMEOUT = "timeout"
    MEMORY = "out of memory"

    @property
    def is_right(self) -> bool:
        """Whether a smaller and right file came out."""
        return self in (Outcome.CUT, Outcome.LITTLE)


@dataclass(frozen=True, slots=True)
class Result:
    """One tool on one model.

    Attributes:
        tool: The tool.
        model: The model.
        outcome: The class.
        removed: Share of the parameters that the written file lacks, 0 where there is none.
        work_s: Seconds of analysis, selection and rewrite, without imports and files, as the first
            call of a process; None where the tool did not come so far, or where a search for its
            setting came first.
        warm_s: The same as a later call.
        whole_s: Seconds of the whole process.
        peak_bytes: Its largest resident set.
        file_bytes: Size of the model's file.
        proved_s: Seconds of a whole process that also proves the result; None for who proves none.
        proved_peak_bytes: The largest resident set of that process.
        error: Largest difference of an output from the masked original's, relative to its largest
            value; None where it was not measured.
        stale: Whether the file states shapes that the checker finds wrong, though ONNX Runtime
            runs it.
        possible: The largest share that the tool could remove; None where it does not tell.
        setting: The knob, as it was set.
        note: Why, where there is something to say.
    """

    tool: str
    model: str
    outcome: Outcome
    removed: float = 0.0
    work_s: float | None = None
    warm_s: float | None = None
    whole_s: float | None = None
    peak_bytes: int | None = None
    file_bytes: int | None = None
    proved_s: float | None = None
    proved_peak_bytes: int | None = None
    error: float | None = None
    stale: bool = False
    possible: float | None = None
    setting: str = ""
    note: str = ""


def failed(ended: Ended) -> tuple[Outcome, str] | None:
    """Classify a process that gave no file; None for one that did."""
    if ended.timed_out:
        return Outcome.TIMEOUT, f"after {ended.seconds:.0f} s"
    if ended.ran_out_of_memory:
        return Outcome.MEMORY, ended.error
    if ended.code:
        return Outcome.REFUSED, ended.error
    return None


def judged(verdict: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Classify a written file by what the independent check found.

    Args:
        verdict: ``removed``; ``err`` and ``rounding``, relative; ``error`` if the file does not
            load or run, ``error_masked`` if the original itself does not; ``n_unmatched`` and
            ``missing``, the shrunk weights whose kept slices were not found and those that have
            lost their name.
    """
    problem = _problem(verdict)
    if problem:
        return problem
    error, rounding = verdict["err"], verdict.get("rounding", 0.0)
    if rounding > NOISE:
        return Outcome.UNJUDGED, f"rounding alone changes the outputs by {rounding:.1g}"
    if error > TOLERANCE and not error <= ROUNDING_FACTOR * rounding:
        return _differs(error, verdict)
    note = f"error {error:.1e}, rounding {rounding:.1e}" if error > TOLERANCE else ""
    removed = verdict["removed"]
    if removed < LEAST:
        return Outcome.NOTHING, note
    return (Outcome.CUT if removed >= ENOUGH else Outcome.LITTLE), note


def _problem(verdict: Mapping[str, Any]) -> tuple[Outcome, str] | None:
    """Tell a file that gives nothing to compare."""
    if "error_masked" in verdict:
        return Outcome.UNJUDGED, f"the original does not run: {verdict['error_masked']}"
    if "error" in verdict:
        return Outcome.BROKEN, str(verdict["error"])
    if not verdict.get("same_io", True):
        return Outcome.WRONG, "other inputs or outputs than the original's"
    error = verdict.get("err")
    if error is None or math.isnan(error):
        return Outcome.UNJUDGED, "no output that could be compared"
    return None


def _differs(error: float, verdict: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Tell a wrong output from one that could not be held against the right reference."""
    unknown = verdict.get("n_unmatched", 0) + verdict.get("missing", 0)
    if unknown and math.isfinite(error):
        return Outcome.UNJUDGED, f"error {error:.1e}, but the slices of {unknown} weights are open"
    return Outcome.WRONG, f"error {error:.1e}"
