"""The probes of a run, each with what it measured in earlier ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from wrg_onnx.calibrate.measurements import Kind, Probe, Row, channels_of, map_kinds
from wrg_onnx.calibrate.rank.maps import DEFAULT_BOUND_BYTES, MapProbe, MapSource
from wrg_onnx.calibrate.store import Store
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.data.dataset import Sample
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.errors import needs_torch
from wrg_onnx.graph import Graph, Provider, fingerprint, resolve_provider
from wrg_onnx.graph.session import runtime

BLOCK_ON_GPU, BLOCK_ON_CPU = 8, 1
"""How many images a probe gets at a time; on a CPU more gain nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is measured on images, and how.

    Attributes:
        ranks: Ranks of feature maps.
        activations: Mean absolute activations of feature maps.
        gradients: A backward pass.
        provider: Where ONNX Runtime computes.
        bound_bytes: How many bytes of feature maps are held at a time; None for what suits the
            device.
        cache: A folder where what was measured is kept; None for none.
        mixed: Whether gradients are computed in bfloat16 where torch thinks it safe.
    """

    ranks: bool = False
    activations: bool = False
    gradients: bool = False
    provider: Provider = Provider.AUTO
    bound_bytes: int | None = None
    cache: Path | None = None
    mixed: bool = False

    def __bool__(self) -> bool:
        return self.ranks or self.activations or self.gradients


@dataclass(slots=True, eq=False)
class Instrument:
    """A probe that is made when it is first needed, and what it measured before.

    Attributes:
        make: Makes the probe.
        kinds: What it measures.
        block: How many images it likes to see at once.
        store: What was measured before; None if nothing is kept.
        is_beside_gpu: Whether ONNX Runtime computes on a GPU, and this cannot.
        probe: What was made.
    """

    make: Callable[[], Probe]
    kinds: tuple[Kind, ...]
    block: int
    store: Store | None
    is_beside_gpu: bool = False
    probe: Probe | None = None

    def measure(self, samples: Sequence[Sample], names: Sequence[str]) -> list[Row]:
        """Measure images, or look up what they said before; their names there are digests."""
        if self.store is None:
            return self.ready().measure(samples)
        known = {n: row for n, name in enumerate(names) if (row := self.store.get(name))}
        new = [n for n in range(len(names)) if n not in known]
        measured = self.ready().measure([samples[n] for n in new]) if new else []
        for n, row in zip(new, measured, strict=True):
            self.store.put(names[n], row)
            known[n] = row
        return [known[n] for n in range(len(names))]

    def notes(self) -> Iterator[str]:
        """Yield what a user should know of it."""
        if self.is_beside_gpu:
            yield f"the {self.kinds[0].value} was taken on the CPU: this torch finds no GPU"
        if self.store is not None and self.store.problem:
            yield self.store.problem

    def ready(self) -> Probe:
        """Make the probe, if that was not done before."""
        self.probe = self.probe or self.make()
        return self.probe


def instruments_for(
    graph: Graph,
    taps: tuple[Tap, ...],
    saliency: SaliencyMap | None,
    wanted: Wanted,
    process: int,
) -> list[Instrument]:
    """List the instruments, the gradient first: a missing twin should be known soon.

    Args:
        graph: The model.
        taps: Where to look.
        saliency: How to read the saliency map, None if the model has none.
        wanted: What is measured, and how.
        process: Which process of the run this is.

    Returns:
        The instruments. Those that have measured nothing before have their probes made.

    Raises:
        MissingPackageError: If gradients are needed and torch is not installed.
        UnsupportedOperatorError: If gradients are needed and an operator has no twin.
    """
    made: list[Instrument] = []
    key = (
        ("",)
        if wanted.cache is None
        else (_version("wrg-onnx"), fingerprint(graph), *_places(taps))
    )

    provider = resolve_provider(wanted.provider)
    on_gpu = provider is Provider.CUDA and _torch_has_a_gpu()
    beside_gpu = provider is Provider.CUDA and not on_gpu
    device = "cuda" if on_gpu else "cpu"

    def add(make: Callable[[], Probe], kinds: tuple[Kind, ...], *further: str) -> None:
        store = None
        if wanted.cache is not None:
            store = Store(wanted.cache, (*key, *further), kinds, channels_of(taps), process)
        block = BLOCK_ON_GPU if on_gpu else BLOCK_ON_CPU
        made.append(Instrument(make, kinds, block, store, beside_gpu))

    if wanted.gradients:
        make = partial(_gradient_probe, graph, taps, saliency, device, mixed=wanted.mixed)
        further = (repr(saliency), device, str(wanted.mixed), _version("torch"))
        add(make, (Kind.GRADIENT,), *further)
    if wanted.ranks or wanted.activations:
        kinds = map_kinds(ranks=wanted.ranks)
        make = partial(
            _map_probe, graph, taps, provider, wanted.bound_bytes, on_gpu=on_gpu, ranks=wanted.ranks
        )
        add(make, kinds, provider.value, device, runtime().__version__)
    for instrument in made:
        if instrument.store is None or not len(instrument.store):
            instrument.ready()
    return made


def _places(taps: Sequence[Tap]) -> Iterator[str]:
    return (f"{tap.tensor} {tap.axis} {len(tap.units)} {tap.zero_point}" for tap in taps)


def _gradient_probe(
    graph: Graph, taps: Sequence[Tap], saliency: SaliencyMap | None, device: str, *, mixed: bool
) -> Probe:
    with needs_torch(
        "a criterion with a gradient", otherwise="choose one without, such as --criterion wr"
    ):
        from wrg_onnx.calibrate.gradient.probe import GradientProbe
    return GradientProbe(graph, taps, saliency, device, mixed=mixed)


def _map_probe(
    graph: Graph,
    taps: Sequence[Tap],
    provider: Provider,
    bound_bytes: int | None,
    *,
    on_gpu: bool,
    ranks: bool,
) -> Probe:
    if not on_gpu:
        source = MapSource(graph, taps, provider, bound_bytes or DEFAULT_BOUND_BYTES)
        return MapProbe(source, ranks=ranks)
    from wrg_onnx.calibrate.rank.device_maps import BOUND_BYTES, DeviceMapProbe

    # The maps of all images of a block are held together.
    share = (bound_bytes or BOUND_BYTES) // BLOCK_ON_GPU
    return DeviceMapProbe(MapSource(graph, taps, provider, share), ranks=ranks)


def _torch_has_a_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
