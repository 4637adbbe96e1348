"""The statistics of feature maps, from one run per image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.calibrate.measurements import Row
from wrg_onnx.calibrate.registry import measure_maps
from wrg_onnx.calibrate.taps import Tap, channels_first, chunks
from wrg_onnx.channels import draws_random
from wrg_onnx.data.dataset import Sample
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import ACTIVATION, Factor, Float64Array, Source, from_source
from wrg_onnx.graph import Array, Graph, Provider, Session, open_session, run_side_by_side

if TYPE_CHECKING:
    from onnxruntime import OrtValue

DEFAULT_BOUND_BYTES = 256 * 2**20


class MapSource:
    """Runs a model for the tapped feature maps of one image.

    Args:
        graph: The model.
        taps: Where to look.
        provider: Where ONNX Runtime computes.
        bound_bytes: How many bytes of feature maps are held at a time. Where the taps of one image
            exceed it, the image runs once per part.

    Attributes:
        parts: The taps that are asked for at a time.
    """

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[Tap],
        provider: Provider = Provider.CPU,
        bound_bytes: int = DEFAULT_BOUND_BYTES,
    ) -> None:
        names = [tap.tensor for tap in taps]
        self._open = partial(
            open_session, graph, outputs=names, provider=provider, one_thread=True, tf32=False
        )
        self._session = self._open()
        self._draws = draws_random(graph)
        self.parts = tuple(chunks(taps, bound_bytes))

    def run(self, samples: Sequence[Sample], part: Sequence[Tap]) -> Iterator[dict[str, Array]]:
        """Yield some feature maps of one sample after the other, while the next ones are made.

        Args:
            samples: What the model is fed.
            part: Which maps; one of ``parts``.

        Yields:
            The arrays as the model makes them, by tensor.

        Raises:
            DataError: If ONNX Runtime refuses a sample.
        """
        names = [tap.tensor for tap in part]
        if self._draws:
            yield from (self._ready().run(sample.feeds, names) for sample in samples)
            return
        feeds = (sample.feeds for sample in samples)
        for _, found in run_side_by_side(self._session, feeds, names):
            yield found

    def lend(self, sample: Sample, part: Sequence[Tap]) -> dict[str, OrtValue]:
        """Return the same as ``run``, left on the device where the model computes.

        Raises:
            DataError: If ONNX Runtime refuses the sample.
        """
        return self._ready().lend(sample.feeds, [tap.tensor for tap in part])

    def _ready(self) -> Session:
        # A new session draws the same numbers, whatever image came before.
        return self._open() if self._draws else self._session


class MapProbe:
    """Looks at the tapped feature maps of one image at a time, on the CPU.

    Args:
        source: Where the maps come from.
        wanted: Factors of maps that are wanted.

    Attributes:
        factors: What is measured: ``measured_with`` them.
    """

    def __init__(self, source: MapSource, wanted: Iterable[Factor]) -> None:
        self._source = source
        self.factors = measured_with(wanted)

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Return what the factors' functions give for the maps of each image.

        Raises:
            StatisticsError: If a feature map is not finite; it names the tensor.
        """
        found: list[dict[Factor, list[Float64Array]]] = [
            {factor: [] for factor in self.factors} for _ in samples
        ]
        for part in self._source.parts:
            runs = self._source.run(samples, part)
            for sample, row, arrays in zip(samples, found, runs, strict=True):
                self._add(row, sample, part, arrays)
        return [{factor: np.concatenate(values) for factor, values in row.items()} for row in found]

    def _add(
        self,
        row: Mapping[Factor, list[Float64Array]],
        sample: Sample,
        part: Sequence[Tap],
        arrays: dict[str, Array],
    ) -> None:
        """Add what the maps of one sample say, tap by tap."""
        for tap in part:
            maps = tapped_maps(tap, arrays.pop(tap.tensor))
            for factor in self.factors:
                values = measure_maps(factor, maps, tap.tensor)
                if not np.isfinite(values).all():
                    raise not_finite(tap, sample)
                row[factor].append(values)


def measured_with(wanted: Iterable[Factor]) -> tuple[Factor, ...]:
    """Return all that is measured where some factors of maps are wanted.

    The mean activation comes first, whether it is wanted or not: it costs next to nothing once a
    map is there, tells whether the map is finite, and another criterion may want it later.
    """
    others = from_source({*wanted} - {ACTIVATION}, Source.MAPS)
    return (ACTIVATION, *others)


def not_finite(tap: Tap, sample: Sample) -> StatisticsError:
    """Return the error of a feature map that is not finite."""
    return StatisticsError(
        f"feature map '{tap.tensor}' of '{sample.name}' holds NaN or infinity; "
        "check the images and --mean, --std"
    )


def tapped_maps(tap: Tap, array: Array) -> Array:
    """View a tapped array as ``channels_first`` does, integers as what they stand for."""
    maps = channels_first(tap, array)
    return maps.astype(np.float32) - tap.zero_point if maps.dtype.kind in "iu" else maps
