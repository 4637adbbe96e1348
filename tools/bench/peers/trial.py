"""One tool on one model: prune in a process, judge in another."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peers.child import Ended, Limits, run
from peers.outcomes import Outcome, Result, failed, judged
from peers.zoo import Model

HERE = Path(__file__).parent

WRG, ONNXSIM, ONNXSIM_RATIO, TORCH = TOOLS = (
    "wrg-onnx", "onnxsim", "onnxsim-ratio", "torch-pruning",
)  # fmt: skip

SPARSITY = 0.5
"""What onnxsim and Torch-Pruning take by default."""

JUDGING = Limits(seconds=400, memory_bytes=16_000_000_000)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all trials share.

    Attributes:
        ratio: The share of the parameters to remove, where a tool can be told so.
        limits: Of each process that prunes.
        peers: The interpreter of the peers' environment; None where no peer runs.
        check: The file of the independent check; None for the repository's own.
        folder: Where pruned files go; each is deleted once it is judged, unless ``keep``.
        keep: Whether pruned files stay.
    """

    ratio: float
    limits: Limits
    peers: Path | None
    check: Path | None
    folder: Path
    keep: bool = field(default=False)


def try_tool(bench: Bench, tool: str, model: Model) -> Result:
    """Prune one model with one tool, judge what came out, and clean up."""
    result = _tried(bench, tool, model)
    # A path of this machine says nothing to a reader.
    return replace(result, note=result.note.replace(str(model.path), model.name))


def _tried(bench: Bench, tool: str, model: Model) -> Result:
    output = bench.folder / f"{model.name}.{tool}.onnx"
    reference = output.with_suffix(".reference.onnx")
    for path in (output, reference):
        path.unlink(missing_ok=True)
    try:
        ended = run(_command(bench, tool, model, output), _limits(bench, tool))
        result = _measured(tool, model, ended)
        if result.outcome in (Outcome.TIMEOUT, Outcome.MEMORY, Outcome.REFUSED):
            return result
        if tool == WRG:
            result = _proved(bench, model, output, result, ended.answer["ratio"])
            if result.outcome is Outcome.REFUSED:
                return result
        return _judged(bench, reference if tool == TORCH else model.path, output, result)
    finally:
        for path in () if bench.keep else (output, reference):
            path.unlink(missing_ok=True)


def _limits(bench: Bench, tool: str) -> Limits:
    """Give a process more time that also does what no user needs: a reference, or a search."""
    does_more = tool in (TORCH, ONNXSIM_RATIO)
    return replace(bench.limits, seconds=bench.limits.seconds * (2 if does_more else 1))


def _command(bench: Bench, tool: str, model: Model, output: Path) -> list[str]:
    ratio = str(bench.ratio)
    if tool == WRG:
        return [sys.executable, str(HERE / "run_wrg.py"), str(model.path), str(output), ratio]
    if tool == TORCH:
        source = [model.factory, "x".join(map(str, model.shape))] if model.factory else []
        script = [str(bench.peers), str(HERE / "run_torch_pruning.py")]
        return [
            *script,
            *(source[:1] or [str(model.path)]),
            str(output),
            str(SPARSITY),
            *source[1:],
        ]
    knob = ["ratio", ratio] if tool == ONNXSIM_RATIO else ["sparsity", str(SPARSITY)]
    return [str(bench.peers), str(HERE / "run_onnxsim.py"), str(model.path), str(output), *knob]


def _measured(tool: str, model: Model, ended: Ended) -> Result:
    """Take the figures of a process; the outcome is that of a file still to be judged."""
    result = Result(
        tool, model.name, Outcome.UNJUDGED,
        whole_s=ended.seconds, peak_bytes=ended.peak_bytes, file_bytes=model.path.stat().st_size,
    )  # fmt: skip
    problem = failed(ended)
    if problem:
        return replace(result, outcome=problem[0], note=problem[1])
    answer = ended.answer
    return replace(
        result,
        work_s=answer["work_s"],
        warm_s=answer["warm_s"],
        peak_bytes=answer["peak_bytes"],
        whole_s=ended.seconds - answer["aside_s"],
        possible=answer.get("possible"),
        setting=answer["setting"],
    )


def _proved(bench: Bench, model: Model, output: Path, result: Result, ratio: float) -> Result:
    """Run the command that a user runs, which writes the file anew if its proof holds."""
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "wrg_onnx", "prune", str(model.path), "--ratio", str(ratio),
               "--criterion", "l1", "--recover", "none", "--no-evaluate", "--json",
               "--output", str(output), "--force"]  # fmt: skip
    ended = run(command, bench.limits)
    problem = failed(ended)
    result = replace(result, proved_s=ended.seconds, proved_peak_bytes=ended.peak_bytes)
    return replace(result, outcome=problem[0], note=problem[1]) if problem else result


def _judged(bench: Bench, original: Path, output: Path, result: Result) -> Result:
    """Hold the written file against the original."""
    check = [str(bench.check)] if bench.check else []
    command = [sys.executable, str(HERE / "judge.py"), str(original), str(output), *check]
    ended = run(command, JUDGING)
    problem = failed(ended)
    if problem:
        return replace(result, outcome=Outcome.UNJUDGED, note=f"the check failed: {problem[1]}")
    verdict: dict[str, Any] = ended.answer
    outcome, note = judged(verdict)
    error = verdict.get("err")
    return replace(
        result,
        outcome=outcome,
        removed=verdict["removed"],
        error=error if error is not None and math.isfinite(error) else None,
        stale=outcome is not Outcome.BROKEN and verdict.get("checker") is not True,
        note=note,
    )
