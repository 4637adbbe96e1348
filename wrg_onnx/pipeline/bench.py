"""Time models side by side."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import EncodeError

from wrg_onnx.channels import random_feeds
from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.files import scratch_folder
from wrg_onnx.graph import (
    Graph,
    check_run,
    file_digests,
    fill_inputs,
    fit_to_kernels,
    runtime,
    save,
)
from wrg_onnx.latency import Ratio, compare_medians, find_noise
from wrg_onnx.latency.fresh import (
    Measured,
    Place,
    Task,
    check_threads,
    find_places,
    time_fresh,
    write_feeds,
)
from wrg_onnx.latency.profile import SideBySide, alone, profile_models, side_by_side
from wrg_onnx.pipeline.analyse import analyse_graph
from wrg_onnx.pipeline.batches import Batch, batches_of
from wrg_onnx.pipeline.config import BenchConfig, DataOptions
from wrg_onnx.pipeline.input_shapes import concrete_shapes
from wrg_onnx.pipeline.layer_times import PROFILED, anatomy_of
from wrg_onnx.pipeline.result import Result
from wrg_onnx.pipeline.source import Source, read_source
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.records import BenchReport, BenchReports


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """A model that is timed.

    Attributes:
        label: What reports call it.
        file: Where the processes read it.
        graph: What was read.
    """

    label: str
    file: Path
    graph: Graph


def bench(
    sources: Sequence[Source],
    options: DataOptions,
    config: BenchConfig | None = None,
    *,
    progress: Progress = silent,
) -> Result[BenchReports]:
    """Time models side by side on the same random input, each in processes of its own.

    Args:
        sources: The models. All must have the same inputs.
        options: Tells the size of an image input that leaves it open.
        config: Where, how long, with how many threads and at which batches.
        progress: Told how far the run is.

    Returns:
        A report per provider and batch.

    Raises:
        UsageError: If the models' inputs differ, a file is named twice, or an option is out of its
            range.
        ModelError: If a model is not a valid one, or a process dies of it.
        DataError: If ONNX Runtime fails on the inputs.
    """
    config = config or BenchConfig()
    paths = [source for source in sources if isinstance(source, Path)]
    if len({*paths}) != len(paths):
        raise UsageError("bench: a model is named twice")
    threads = check_threads(config.threads)
    places = find_places(config.provider)
    if config.profile and PROFILED not in [place.name for place in places]:
        raise UsageError(
            f"profile is for provider {PROFILED}: on {config.provider} ONNX Runtime's profiler "
            "does not tell what each layer takes"
        )
    with scratch_folder() as folder:
        progress("load", 0, 0)
        models = _read(sources, options, folder)
        sha256 = file_digests(*(model.graph for model in models))
        first = models[0].graph
        shapes = concrete_shapes(first, options)
        batches = [*batches_of(first.inputs, shapes, options.shapes, config.batches)]
        for model in models:
            for batch in batches:
                check_run(model.graph, batch.shapes)
        reports = []
        for place in places:
            for batch in batches:
                bench_one = _Bench(models, place, threads, batch, config, folder, progress)
                reports.append(bench_one.report())
    return Result(BenchReports(tuple(reports), sha256=sha256))


def _read(sources: Sequence[Source], options: DataOptions, folder: Path) -> list[_Model]:
    """Read the models, and put those that are in memory where processes find them."""
    models: list[_Model] = []
    for number, source in enumerate(sources):
        graph = fill_inputs(read_source(source), options.values)
        label = _free_name(graph.name, [model.label for model in models])
        file = _openable(source) if isinstance(source, Path) else folder / f"memory{number}.onnx"
        if isinstance(source, bytes):
            file.write_bytes(source)
        elif not isinstance(source, Path):
            try:
                file.write_bytes(source.SerializeToString())
            except EncodeError:  # a message ends at 2 GiB
                save(graph, file, external_data=True)
        models.append(_Model(label, file, graph))
    first = models[0].graph
    for other in models[1:]:
        if other.graph.inputs != first.inputs:
            raise UsageError(
                f"'{other.graph.name}' has other inputs than '{first.name}': only models with the "
                "same inputs can be timed side by side"
            )
    return models


def _openable(path: Path) -> Path:
    """Return a path that ONNX Runtime can open.

    Raises:
        ModelError: If its name is no UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise ModelError(
            f"'{path}': ONNX Runtime opens files whose names are UTF-8 alone: rename it to time it"
        ) from error
    return path


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """Models side by side in one place at one batch."""

    models: Sequence[_Model]
    place: Place
    threads: int
    batch: Batch
    config: BenchConfig
    folder: Path
    progress: Progress = silent

    def report(self) -> BenchReport:
        """Measure, and say what was found."""
        rng = np.random.default_rng(self.config.seed)
        feeds = self.folder / "feeds.npz"
        write_feeds(feeds, random_feeds(self.models[0].graph, self.batch.shapes, rng))
        tasks = [
            Task(model.label, model.file, feeds, self.place, self.threads, self.batch.shapes)
            for model in self.models
        ]
        timing, processes = self.config.timing, self.config.processes
        found = time_fresh(tasks, timing, rng, processes=processes, progress=self.progress)
        latency = {label: one.times.latency for label, one in found.items()}
        return BenchReport(
            provider=self.place.name,
            latency=latency,
            input_shapes=self.batch.shapes,
            batch=self.batch.samples,
            threads=self.threads,
            runtime=runtime().__version__,
            processes=min(processes, timing.rounds),
            throughput={
                label: 1e3 * self.batch.samples / one.median_ms for label, one in latency.items()
            },
            peak_bytes={label: one.peak_bytes for label, one in found.items()},
            processes_ms={label: one.times.process_medians_ms for label, one in found.items()},
            speedup=dict(_ratios(found, rng)),
            noise={label: find_noise(one.times) for label, one in found.items()},
            profile=dict(self._profile(tasks, rng)) if self._is_profiled else {},
            notes=(self.batch.note,) if self.batch.note else (),
        )

    @property
    def _is_profiled(self) -> bool:
        return self.config.profile and self.place.name == PROFILED

    def _profile(
        self, tasks: Sequence[Task], rng: np.random.Generator
    ) -> Iterator[tuple[str, SideBySide]]:
        """Yield each model but the first beside that; a single one by itself."""
        self.progress("profile", 0, 0)
        with scratch_folder() as folder:
            found = profile_models(tasks, folder, self.config.timing, rng, self.progress)
        files = {
            model.label: anatomy_of(analyse_graph(fit_to_kernels(model.graph), self.batch.shapes))
            for model in self.models
        }
        first, *others = found
        if not others:
            yield first, alone(found[first], files[first])
        for other in others:
            yield other, side_by_side(found[first], files[first], found[other], files[other])


def _ratios(found: Mapping[str, Measured], rng: np.random.Generator) -> Iterator[tuple[str, Ratio]]:
    first, *others = found
    for other in others:
        yield other, compare_medians(found[first].times, found[other].times, rng)


def _free_name(name: str, taken: Container[str]) -> str:
    """Number models of the same name: those in memory need not have names of their own."""
    number = 1
    while (shown := name if number == 1 else f"{name} ({number})") in taken:
        number += 1
    return shown
