"""The probes of a run, each with what it measured in earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from wrg_onnx.calibrate.data import Sample
from wrg_onnx.calibrate.head import SaliencyHead
from wrg_onnx.calibrate.maps import DEFAULT_BOUND_BYTES, MapProbe
from wrg_onnx.calibrate.measurements import Kind, Probe, Row, channels_of
from wrg_onnx.calibrate.store import Store
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.graph import Graph, MissingPackageError, Provider, fingerprint, resolve_provider
from wrg_onnx.graph.session import runtime


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is measured on images, and how.

    Attributes:
        ranks: Ranks of feature maps.
        activations: Mean absolute activations of feature maps.
        gradients: A backward pass.
        provider: Where ONNX Runtime computes.
        bound_bytes: How many bytes of feature maps are held at a time.
        cache: A folder where what was measured is kept; None for none.
    """

    ranks: bool = False
    activations: bool = False
    gradients: bool = False
    provider: Provider = Provider.AUTO
    bound_bytes: int = DEFAULT_BOUND_BYTES
    cache: Path | None = None

    def __bool__(self) -> bool:
        return self.ranks or self.activations or self.gradients


@dataclass(slots=True, eq=False)
class Instrument:
    """A probe that is made when it is first needed, and what it measured before.

    Attributes:
        make: Makes the probe.
        kinds: What it measures.
        store: What was measured before; None if nothing is kept.
    """

    make: Callable[[], Probe]
    kinds: tuple[Kind, ...]
    store: Store | None
    probe: Probe | None = None

    def measure(self, sample: Sample, name: str) -> Row:
        """Measure an image, or look up what it said before; its name there is its digest."""
        if self.store is None:
            return self.ready().measure(sample)
        row = self.store.get(name)
        if row is None:
            row = self.ready().measure(sample)
            self.store.put(name, row)
        return row

    def ready(self) -> Probe:
        """Make the probe, if that was not done before."""
        self.probe = self.probe or self.make()
        return self.probe


def instruments_for(
    graph: Graph,
    taps: tuple[Tap, ...],
    head: SaliencyHead | None,
    wanted: Wanted,
    process: int,
) -> list[Instrument]:
    """List the instruments, the gradient first: a missing twin should be known soon.

    Args:
        graph: The model.
        taps: Where to look.
        head: How to read the saliency map, None if the model has none.
        wanted: What is measured, and how.
        process: Which process of the run this is.

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

    def add(make: Callable[[], Probe], kinds: tuple[Kind, ...], *further: str) -> None:
        store = None
        if wanted.cache is not None:
            store = Store(wanted.cache, (*key, *further), kinds, channels_of(taps), process)
        made.append(Instrument(make, kinds, store))

    provider = resolve_provider(wanted.provider)
    if wanted.gradients:
        make = partial(_gradient_probe, graph, taps, head, provider)
        add(make, (Kind.GRADIENT,), repr(head), provider.value, _version("torch"))
    if wanted.ranks or wanted.activations:
        kinds = (Kind.RANK, Kind.ACTIVATION) if wanted.ranks else (Kind.ACTIVATION,)
        probe = partial(
            MapProbe, graph, taps,
            ranks=wanted.ranks, provider=provider, bound_bytes=wanted.bound_bytes,
        )  # fmt: skip
        add(probe, kinds, provider.value, runtime().__version__)
    for instrument in made:
        if instrument.store is None or not len(instrument.store):
            instrument.ready()
    return made


def _places(taps: Sequence[Tap]) -> Iterator[str]:
    return (f"{tap.tensor} {tap.axis} {len(tap.units)} {tap.zero_point}" for tap in taps)


def _gradient_probe(
    graph: Graph, taps: Sequence[Tap], head: SaliencyHead | None, provider: Provider
) -> Probe:
    try:
        from wrg_onnx.calibrate.gradients import GradientProbe
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            raise
        raise MissingPackageError(
            "torch",
            purpose="a criterion with a gradient",
            extra="torch",
            otherwise="choose one without, such as --criterion wr",
        ) from error
    return GradientProbe(graph, taps, head, provider)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
