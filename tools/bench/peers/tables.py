"""The result as a terminal table of 80 columns and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from peers.outcomes import Outcome, Result
from peers.summary import Race, Summary

NOTES = {
    "wrg-onnx": "the stages of `wrg-onnx prune --criterion l1`, asked for the ratio or, where less "
    "may go, for the most that may. *work* stops before the proof; *with proof* is the command "
    "itself, whose file is judged. Refused are also files whose proof failed",
    "onnxsim": '`apply_structured_pruning(model, 0.5, "l1")`, for quantised models its `_qdq` and '
    "`_qoperator` forms too. `apply_attention_head_pruning` is left out: it removed nothing from "
    "22 nets, most of them transformers; so is the C++ port, as fast or slower on the six nets "
    "tried. On three convolutional nets from which nothing was removed, `onnxsim.simplify` before "
    "it changed nothing",
    "onnxsim-ratio": "the same with the sparsity, of at most 0.9, that comes closest to the ratio; "
    "the search for it is not counted",
    "torch-pruning": "`BasePruner` with the L1 norm and `pruning_ratio=0.5`, the layers that make "
    "the outputs ignored. It prunes torch modules: the repository's own nets from their source, "
    "any other through onnx2torch, and is counted as refused where that cannot convert. Its file "
    "is held against the unpruned module, written by the same exporter; *whole* has the import of "
    "torch and that export in it. From their own source, measured apart with its defaults, it cut "
    "47 of 115 architectures",
}


def summary_table(summaries: Sequence[Summary]) -> Table:
    """Show the tools side by side."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for summary in summaries:
        table.add_column(summary.tool, justify="right")
    for row in _summary_rows(summaries):
        table.add_row(*row)
    return table


def race_text(race: Race) -> str:
    """Say how our seconds compare with a peer's."""
    found = {
        "analysis and rewrite, first call": race.work,
        "the same, a later call": race.warm,
        "the whole process, with our proof": race.proved,
    }
    parts = [f"{ratio:.2f}x for {what}" for what, ratio in found.items() if ratio is not None]
    if not parts:
        return f"No model that both wrg-onnx and {race.peer} cut right."
    return (
        f"Seconds against {race.peer}, median of {race.models} models that both cut right: "
        f"{'; '.join(parts)}."
    )


def markdown(
    results: Sequence[Result],
    summaries: Sequence[Summary],
    races: Sequence[Race],
    conditions: Mapping[str, str],
    more: Mapping[str, Sequence[str]],
) -> str:
    """Write the whole result.

    Args:
        results: Every tool on every model.
        summaries: One per tool.
        races: One per peer.
        conditions: What was run, where and on what; one line each.
        more: By peer, the models it cuts by more than wrg-onnx could.
    """
    tools = [summary.tool for summary in summaries]
    lines = ["# Peers side by side", ""]
    lines += [f"- {name}: {value}" for name, value in conditions.items()]
    lines += ["", "## Summary", "", *_grid(["", *tools], _summary_rows(summaries)), ""]
    for race in races:
        lines += [race_text(race), ""]
    for peer, models in more.items():
        names = ", ".join(models) or "none"
        lines += [f"Models that {peer} cuts right and by more than wrg-onnx could: {names}.", ""]
    lines += ["## How each tool was used", ""]
    lines += [f"- **{tool}**: {NOTES[tool]}." for tool in tools]
    lines += ["", READING, "## Models", ""]
    for tool in tools:
        rows = [_model_row(result) for result in results if result.tool == tool]
        lines += [f"### {tool}", "", *_grid(MODEL_HEADER, rows), ""]
    return "\n".join(lines).rstrip() + "\n"


READING = """\
*cut*: at least 25 % of the parameters are gone and the outputs are those of the original with the
removed slices set to zero, to 1e-4 of the largest value or within twice that original's own
rounding. *broken file*: ONNX Runtime does not load or run it. *not judged*: it runs, but the
removed slices could not be told from the values. *stale shapes* are right files whose recorded
shapes the ONNX checker refuses. *work* is analysis, selection and rewrite in seconds, without
imports and files, as the first call of a process; *later* is a second call; *whole* is the process.
Each ran once in a fresh process beside whatever else the machine did: compare seconds in the ratio,
not one by one.
"""

MODEL_HEADER = ("model", "outcome", "removed", "possible", "work s", "later s", "whole s",
                "with proof s", "peak / file", "error", "setting", "note")  # fmt: skip


def _summary_rows(summaries: Sequence[Summary]) -> Iterator[list[str]]:
    yield ["models", *(str(s.models) for s in summaries)]
    for outcome in Outcome:
        if any(outcome in s.counts for s in summaries):
            yield [outcome.value, *(str(s.counts.get(outcome, 0)) for s in summaries)]
    yield ["stale shapes", *(str(s.stale) for s in summaries)]
    yield ["median removed, all", *(_share(s.removed) for s in summaries)]
    yield ["median removed, right", *(_share(s.removed_right) for s in summaries)]
    yield ["median work, s", *(_seconds(s.work_s) for s in summaries)]
    yield ["... later call, s", *(_seconds(s.warm_s) for s in summaries)]
    yield ["median whole, s", *(_seconds(s.whole_s) for s in summaries)]
    yield ["... with proof, s", *(_seconds(s.proved_s) for s in summaries)]
    yield ["median peak / file", *(_plain(s.peak_ratio) for s in summaries)]


def _model_row(result: Result) -> list[str]:
    peak = result.peak_bytes and result.file_bytes and result.peak_bytes / result.file_bytes
    note = result.note + ("; stale shapes" if result.stale and result.note else "")
    return [
        result.model,
        result.outcome.value,
        _share(result.removed),
        _share(result.possible),
        _seconds(result.work_s),
        _seconds(result.warm_s),
        _seconds(result.whole_s),
        _seconds(result.proved_s),
        _plain(peak or None),
        "" if result.error is None else f"{result.error:.0e}",
        result.setting,
        note or ("stale shapes" if result.stale else ""),
    ]


def _grid(header: Sequence[str], rows: Iterator[list[str]] | list[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(_cell(text) for text in row) + " |"


def _cell(text: str) -> str:
    flat = " ".join(text.replace("|", "/").split())
    return flat if len(flat) <= 160 else flat[:157] + "..."


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
