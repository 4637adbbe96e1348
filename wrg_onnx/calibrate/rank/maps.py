"""The statistics of feature maps, from one run per image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.calibrate.measurements import Kind, Row, map_kinds
from wrg_onnx.calibrate.rank.ranks import matrix_view, numerical_ranks
from wrg_onnx.calibrate.statistics import Float64Array
from wrg_onnx.calibrate.taps import Tap, channels_first, chunks
from wrg_onnx.channels import traits_of
from wrg_onnx.data.dataset import Sample
from wrg_onnx.errors import StatisticsError
from wrg_onnx.graph import Array, Graph, Provider, Session, flatten, open_session

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
        self._open = partial(open_session, graph, outputs=names, provider=provider, tf32=False)
        self._session = self._open()
        self._draws = any(traits_of(node).draws_random for node in flatten(graph).graph.nodes)
        self.parts = tuple(chunks(taps, bound_bytes))

    def run(self, sample: Sample, part: Sequence[Tap]) -> dict[str, Array]:
        """Return some feature maps of one sample.

        Args:
            sample: What the model is fed.
            part: Which maps; one of ``parts``.

        Returns:
            The arrays as the model makes them, by tensor.

        Raises:
            DataError: If ONNX Runtime refuses the sample.
        """
        return self._ready().run(sample.feeds, [tap.tensor for tap in part])

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
        ranks: Whether to take ranks, which cost about as much as the run itself.
    """

    def __init__(self, source: MapSource, *, ranks: bool) -> None:
        self._source = source
        self.kinds = map_kinds(ranks=ranks)

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Return the ranks, each over the most it could be, and the mean absolute activations.

        Raises:
            StatisticsError: If a feature map is not finite; it names the tensor.
        """
        return [self._measure(sample) for sample in samples]

    def _measure(self, sample: Sample) -> Row:
        found: dict[Kind, list[Float64Array]] = {kind: [] for kind in self.kinds}
        for part in self._source.parts:
            arrays = self._source.run(sample, part)
            for tap in part:
                maps = _maps(tap, arrays.pop(tap.tensor))
                mean = np.abs(maps).mean(axis=(0, 2, 3), dtype=np.float64)
                if not np.isfinite(mean).all():
                    raise hole(tap, sample)
                found[Kind.ACTIVATION].append(mean)
                if Kind.RANK in found:
                    matrices = matrix_view(np.ascontiguousarray(maps, np.float32))
                    ranks = numerical_ranks(matrices).mean(axis=0)
                    found[Kind.RANK].append(ranks / min(matrices.shape[2:]))
        return {kind: np.concatenate(values) for kind, values in found.items()}


def hole(tap: Tap, sample: Sample) -> StatisticsError:
    """Return the error of a feature map that is not finite."""
    return StatisticsError(
        f"feature map '{tap.tensor}' of '{sample.name}' holds NaN or infinity; "
        "check the images and --mean, --std"
    )


def _maps(tap: Tap, array: Array) -> Array:
    maps = channels_first(tap, array)
    return maps.astype(np.float32) - tap.zero_point if maps.dtype.kind in "iu" else maps
