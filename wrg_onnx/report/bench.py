"""Latency side by side, and layer by layer, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report.records import BenchReport
from wrg_onnx.report.rows import Row, byte_size
from wrg_onnx.report.speed import noise_text, ratio_text
from wrg_onnx.report.table_parts import MOST_ROWS, more_than_shown, table_of


def bench_text(report: BenchReport) -> RenderableType:
    """Show latency side by side."""
    shapes = ", ".join(
        f"{k} {'x'.join(map(str, v)) or 'scalar'}" for k, v in report.input_shapes.items()
    )
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    each = "1 process" if report.processes == 1 else f"{report.processes} processes"
    table = table_of("model", "median ms", "p95 ms", "samples/s", "memory", "runs")
    for name, latency in report.latency.items():
        peak = report.peak_bytes[name]
        table.add_row(
            Text(name),
            f"{latency.median_ms:.2f}",
            f"{latency.p95_ms:.2f}",
            f"{report.throughput[name]:.1f}",
            "-" if peak is None else byte_size(peak),
            str(latency.runs),
        )
    lines: list[RenderableType] = [
        Text(f"ONNX Runtime {report.runtime} on {report.provider}, {threads}, input {shapes}",
             "bold"),
        Text(f"{each} of each model, in turns"),
        table,
    ]  # fmt: skip
    first = next(iter(report.latency))
    for name, ratio in report.speedup.items():
        beside = f" as fast as {first}" if ratio.is_beyond_noise and ratio.is_known else ""
        lines.append(Text(f"{name}: {ratio_text(ratio)}{beside}"))
    for name, found in report.profile.items():
        lines += _profile(first, name, found)
    notes = [*report.notes, *filter(None, [noise_text(report.noise.values())])]
    lines += [Text(f"Note: {note}.", "yellow") for note in notes]
    return Group(*lines)


def _profile(first: str, name: str, found: SideBySide) -> Iterator[RenderableType]:
    """Show the layers that take most time, those of the first model first."""
    title = f"Layers of {first}" if name == first else f"Layers of {first} and {name}"
    yield Text(f"{title}, in ms with the profiler", "bold")
    if found.after_ms is None:
        table = table_of("layer", "ms", "share", "MACs")
        total = sum(row.before_ms or 0.0 for row in found.layers)
        for row in _slowest(found):
            macs = f"{row.macs_before:,}" if row.macs_before else ""
            share = _share(row.before_ms, total)
            table.add_row(Text(layer_name(row)), _ms(row.before_ms), share, macs)
    else:
        table = _side_by_side(found)
    yield table
    if any(row.fused for row in _slowest(found)):
        yield Text("+N: so many other nodes run with it as one.")
    yield from more_than_shown(len(found.layers), "layers")


def _side_by_side(found: SideBySide) -> Table:
    table = table_of(*LAYER_TITLES, words=1)
    for name, *cells, why in layer_rows(found, _slowest(found)):
        table.add_row(Text(name), *cells, Text(why))
    return table


LAYER_TITLES = ("layer", "before", "after", "share", "faster", "MACs", "why")


def layer_rows(found: SideBySide, layers: Iterable[LayerTime]) -> Iterator[Row]:
    """Yield a row for each of some layers of two models."""
    total = sum(row.after_ms or 0.0 for row in found.layers)
    for row in layers:
        yield (
            layer_name(row),
            _ms(row.before_ms),
            _ms(row.after_ms),
            _share(row.after_ms, total),
            _times(row.before_ms, row.after_ms),
            _times(row.macs_before, row.macs_after),
            row.why,
        )


def layer_name(row: LayerTime) -> str:
    """Return what to call a layer; many names say the operator, others do not."""
    shown = row.name if row.op.casefold() in row.name.casefold() else f"{row.op} {row.name}"
    return f"{shown} +{row.fused}" if row.fused else shown


def _slowest(found: SideBySide) -> list[LayerTime]:
    ordered = sorted(found.layers, key=lambda row: -max(row.before_ms or 0.0, row.after_ms or 0.0))
    return ordered[:MOST_ROWS]


def _share(time: float | None, total: float) -> str:
    return f"{time / total:.0%}" if time is not None and total else "-"


def _ms(time: float | None) -> str:
    return "-" if time is None else f"{time:.2f}"


def _times(before: float | None, after: float | None) -> str:
    """Say how many times as much there was before; nothing where one is not known, or zero."""
    return f"{before / after:.1f}x" if before and after else ""
