"""Where a run comes from: command, environment, data, seeds, and how long it took."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence

from wrg_onnx.report.details import DataSource, Environment
from wrg_onnx.report.page.parts import Cell, Code, Facts, Figure, Part, Section, Table, Text
from wrg_onnx.report.page.plots.rows import stacked_bar
from wrg_onnx.report.records import PruneReport, ValidateReport


def provenance(report: PruneReport) -> Section:
    """Say what was run, where, and on what."""
    parts: list[Part] = []
    environment = None if report.details is None else report.details.environment
    if environment is None:
        parts.append(Text("This run kept neither its environment nor its command.", "quiet"))
    else:
        parts.append(Code("Command:", shlex.join(environment.command)))
    parts.append(Facts(tuple(facts_of(report))))
    parts += _options(report.config)
    if report.seconds:
        parts.append(stages(report.seconds, report.cpu_seconds))
    return _section(parts)


def validated_from(report: ValidateReport) -> Section:
    """Say which files were held against each other, on what, and how."""
    facts = [("original", report.original), ("pruned", report.pruned)]
    if report.accuracy is not None:
        facts.append(("judged on", report.accuracy.data))
    facts += [(f"SHA-256 of {path}", digest) for path, digest in report.sha256.items()]
    if report.origin is not None:
        facts.append(("wrg-onnx", report.origin.version))
    return _section([Facts(tuple(facts)), *_options(report.config)])


def _section(parts: Sequence[Part]) -> Section:
    return Section("provenance", "Where this comes from", tuple(parts))


def _options(config: Mapping[str, object]) -> Iterator[Part]:
    if config:
        rows = tuple((name, _option(value)) for name, value in config.items())
        yield Table("Every option", ("option", "value"), rows, words=frozenset({1}), folded=True)


def facts_of(report: PruneReport) -> Iterator[tuple[str, str]]:
    """Yield what a run was made of, by name."""
    yield "model", report.model
    yield "output", report.output or "(nothing written)"
    yield "statistics from", report.calibration
    if report.accuracy is not None:
        yield "judged on", report.accuracy.data
    if report.details is not None:
        yield from _facts(report.details.environment)


def _facts(environment: Environment) -> Iterator[tuple[str, str]]:
    if environment.data is not None:
        yield from _data(environment.data)
    yield "seed", f"{environment.seed}"
    yield "date", environment.date
    yield "provider", environment.provider
    yield "processor", f"{environment.processor}, {environment.cores} cores"
    yield "platform", environment.platform
    for one in environment.versions:
        yield one.package, one.version or "not installed"


def _option(value: object) -> str:
    """Write an option as JSON has it; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value)


def _data(data: DataSource) -> Iterator[tuple[str, str]]:
    yield "data", data.path if data.path is not None else data.made
    yield "samples", f"{data.samples:,} for statistics, {data.held_out:,} held out"
    if data.sha256:
        yield "SHA-256 of names and sizes", data.sha256


def stages(seconds: Mapping[str, float], cpu_seconds: Mapping[str, float]) -> Figure:
    """Draw the time of each stage."""
    whole = sum(seconds.values()) or 1.0
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, stacked_bar([(100 * took / whole, "kept")], f"{took / whole:.0%} of the run"),
         f"{took:.1f} s", f"{cpu_seconds.get(name, 0.0):.1f} s")
        for name, took in seconds.items()
    )  # fmt: skip
    titles = ("stage", "share of the run", "took", "of processors")
    table = Table(f"{whole:.1f} s in all", titles, rows, frozenset({1}))
    return Figure("stages", "Time by stage", table)
