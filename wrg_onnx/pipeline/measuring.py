"""What the layers of models make of a run's samples: the original's are measured once."""

from __future__ import annotations

from wrg_onnx.calibrate import Cache, cache_limit
from wrg_onnx.graph import Graph, resolve_provider
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.progress import Progress
from wrg_onnx.recover import (
    Measured,
    MeasureOptions,
    RowOptions,
    find_or_measure,
    measure_layers,
)


def row_options(samples: Samples, config: PruneConfig) -> RowOptions:
    """Return at which places of a run's samples layers are looked at."""
    return RowOptions(samples.saliency, at_objects=config.at_objects, seed=config.seed)


class Measuring:
    """Measures layers on the samples of a run.

    Both the choice and the recovery ask for the original's, and with several rounds, or training
    before the cut, so does each recovery. These are held, and kept for other runs. Others are of
    models that no other run has, and are let go.

    Args:
        original: The original model.
        samples: What the run looks at.
        config: Where to compute, at which places, and where it is kept.

    Attributes:
        samples: What the run looks at.
        notes: What a user should know, such as a cache that could not be used.
    """

    def __init__(self, original: Graph, samples: Samples, config: PruneConfig) -> None:
        self.notes: tuple[str, ...] = ()
        self.samples = samples
        self._original, self._data = original, samples.calibration
        self._provider = resolve_provider(config.provider)
        self._rows = row_options(samples, config)
        self._cache: Cache | None = None
        if config.cache is not None and not config.workers.index:  # others would keep the same
            self._cache = Cache(config.cache, cache_limit())
        self._held: dict[bool, Measured] = {}

    def layers_of(self, graph: Graph, progress: Progress, *, halves: bool = False) -> Measured:
        """Return what the layers of a model make.

        Args:
            graph: The original, or a model that became of it.
            progress: Told how many samples are done, if any must be looked at.
            halves: Whether either half of the samples is to be told apart.

        Raises:
            StatisticsError: As ``recover.measure_layers``.
        """
        options = MeasureOptions(self._provider, self._rows, halves=halves)
        if graph is not self._original:
            return measure_layers(graph, self._data, options, progress=progress)
        found = self._held.get(halves, self._held.get(True))
        if found is None:
            found = self._measure(options, progress)
            self._held = {halves: found}
        return found

    def let_go(self) -> None:
        """Hold nothing any more: it takes much memory."""
        self._held = {}

    def _measure(self, options: MeasureOptions, progress: Progress) -> Measured:
        """Measure the original, or find what was measured before."""
        if self._cache is None:
            return measure_layers(self._original, self._data, options, progress=progress)
        kept = find_or_measure(self._original, self._data, options, self._cache, progress=progress)
        self.notes += (kept.problem,) if kept.problem else ()
        return kept.measured
