"""The probes of a run, each with what it measured in earlier ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata

from wrg_onnx.calibrate.kept_rows import Store
from wrg_onnx.calibrate.measurements import Probe, Row, row_length
from wrg_onnx.calibrate.options import CollectOptions
from wrg_onnx.calibrate.rank.maps import DEFAULT_BOUND_BYTES, MapProbe, MapSource, measured_with
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.channels import draws_random
from wrg_onnx.channels.brought import brought
from wrg_onnx.data.dataset import Sample
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.errors import needs_torch
from wrg_onnx.extensions import Kind, Origin, lasting
from wrg_onnx.factors import Factor, Source, from_source
from wrg_onnx.graph import Graph, Provider, fingerprint, resolve_provider
from wrg_onnx.graph.session import runtime

BLOCK_ON_GPU, BLOCK_ON_CPU = 8, 1
"""How many images are measured together; on a CPU more gain nothing."""


@dataclass(slots=True, eq=False)
class StoredProbe:
    """A probe that is made when it is first needed, and the store of what it measured before.

    Attributes:
        make: Makes the probe.
        factors: What it measures.
        block: How many images it likes to see at once.
        store: What was measured before; None if nothing is kept.
        is_beside_gpu: Whether ONNX Runtime computes on a GPU, and this cannot.
        others: What no installed package brings, so that nothing tells when it changes: then
            nothing is kept.
        probe: What was made.
    """

    make: Callable[[], Probe]
    factors: tuple[Factor, ...]
    block: int
    store: Store | None
    is_beside_gpu: bool = False
    others: tuple[str, ...] = ()
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
            # The first of several is the activation, which comes with the others unasked.
            for factor in self.factors[1:] or self.factors:
                yield f"the {factor.name} was taken on the CPU: this torch finds no GPU"
        if self.store is not None and self.store.problem:
            yield self.store.problem
        for other in self.others:
            yield (
                f"what was measured is not kept for other runs: nothing tells when {other}, changes"
            )

    def ready(self) -> Probe:
        """Make the probe, if that was not done before."""
        self.probe = self.probe or self.make()
        return self.probe


def probes_for(
    graph: Graph, taps: tuple[Tap, ...], saliency: SaliencyMap | None, options: CollectOptions
) -> list[StoredProbe]:
    """List the probes, the gradient first: a missing twin should be known soon.

    Args:
        graph: The model.
        taps: Where to look.
        saliency: How to read the saliency map, None if the model has none.
        options: Which factors, and how.

    Returns:
        The probes. Those that have measured nothing before are made.

    Raises:
        MissingPackageError: If gradients are needed and torch is not installed.
        UnsupportedOperatorError: If gradients are needed and an operator has no twin.
    """
    listed: list[StoredProbe] = []
    cache = options.cache
    key = ("",) if cache is None else (_version("wrg-onnx"), fingerprint(graph), *_places(taps))
    provider = resolve_provider(options.provider)
    on_gpu = provider is Provider.CUDA and _torch_has_a_gpu()
    beside_gpu = provider is Provider.CUDA and not on_gpu
    device = "cuda" if on_gpu else "cpu"

    def add(
        make: Callable[[], Probe],
        factors: tuple[Factor, ...],
        *further: str,
        twins: tuple[Origin, ...] = (),
    ) -> None:
        store = None
        others = _unknown(factors, twins)
        further = (*further, *(f"twin of {origin}" for origin in twins))
        if cache is not None and not others:
            length, process = row_length(taps), options.workers.index
            store = Store(cache, (*key, *further), factors, length, process)
        block = BLOCK_ON_GPU if on_gpu else BLOCK_ON_CPU
        told = () if cache is None else others
        listed.append(StoredProbe(make, factors, block, store, beside_gpu, told))

    gradients = from_source(options.factors, Source.BACKWARD)
    if gradients:
        make = partial(_gradient_probe, graph, taps, saliency, device, mixed=options.mixed)
        key_of_twin = (repr(saliency), device, str(options.mixed), _version("torch"))
        add(make, gradients, *key_of_twin, twins=brought(Kind.TWIN, graph))
    of_maps = from_source(options.factors, Source.MAPS)
    if of_maps:
        make = partial(
            _map_probe, graph, taps, of_maps, provider, options.bound_bytes, on_gpu=on_gpu
        )
        add(make, measured_with(of_maps), provider.value, device, runtime().__version__)
    for probe in listed:
        if probe.store is None or not len(probe.store):
            probe.ready()
    return listed


def _unknown(factors: Sequence[Factor], twins: Sequence[Origin]) -> tuple[str, ...]:
    """Name what is measured by code that has no version."""
    found = [(f"the factor '{factor.name}'", factor.origin) for factor in factors]
    found += [("a twin operator", origin) for origin in twins]
    return tuple(f"{what} of {origin}" for what, origin in found if not lasting([origin]))


def _places(taps: Sequence[Tap]) -> Iterator[str]:
    return (f"{tap.tensor} {tap.axis} {len(tap.units)} {tap.zero_point}" for tap in taps)


def _gradient_probe(
    graph: Graph, taps: Sequence[Tap], saliency: SaliencyMap | None, device: str, *, mixed: bool
) -> Probe:
    with needs_torch(
        "a criterion with a gradient", otherwise="choose one without, such as --criterion wr"
    ):
        from wrg_onnx.calibrate.gradient.each_alone import EachAlone, images_at_once
        from wrg_onnx.calibrate.gradient.probe import MOST_ACTIVATION_BYTES, GradientProbe
    if device != "cpu":
        return GradientProbe(graph, taps, saliency, device, mixed=mixed)
    bound = MOST_ACTIVATION_BYTES // images_at_once()
    probe = GradientProbe(graph, taps, saliency, device, mixed=mixed, bound_bytes=bound)
    return EachAlone(probe, draws=draws_random(graph))


def _map_probe(
    graph: Graph,
    taps: Sequence[Tap],
    wanted: Sequence[Factor],
    provider: Provider,
    bound_bytes: int | None,
    *,
    on_gpu: bool,
) -> Probe:
    if not on_gpu:
        source = MapSource(graph, taps, provider, bound_bytes or DEFAULT_BOUND_BYTES)
        return MapProbe(source, wanted)
    from wrg_onnx.calibrate.rank.device_maps import BOUND_BYTES, DeviceMapProbe

    # The maps of all images of a block are held together.
    share = (bound_bytes or BOUND_BYTES) // BLOCK_ON_GPU
    return DeviceMapProbe(MapSource(graph, taps, provider, share), wanted)


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
