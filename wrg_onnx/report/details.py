"""What a page shows of a run beyond its report, small enough for any model.

``prune(..., details=True)`` and ``--report`` collect it. What the report has already is not here:
what recovery repaired is ``PruneReport.recovery.fits``, the curve of a search
``PruneReport.search``, that of a sweep ``SweepReport.points``.

All numbers that are no counts have ``DIGITS`` significant digits, all texts at most
``MOST_LETTERS`` bytes in JSON; what is longer loses its middle. Texts may hold anything, as names
in models may. As JSON the records take at most ``MOST_BYTES``, indented as
``to_json`` does it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from wrg_onnx.evaluate.image_values import ImageValues
from wrg_onnx.latency.profile import SideBySide

MOST_BYTES = 3_000_000
"""How large the details of any model get, as JSON."""

DIGITS = 4
"""Significant digits of numbers."""

MOST_LETTERS = 120
"""Bytes of a name or another text in JSON; words of a command are not cut so short."""

MOST_UNITS = 512
"""A layer of more units has quantiles instead of a number for each unit."""

MOST_LAYERS = 1500
"""So many layer widths are listed: those that hold most parameters, in the model's order."""

MOST_PLOTTED = 400
"""So many of them have numbers of their units: again those that hold most parameters."""

MOST_NUMBERS = 36_000
"""So many numbers of single units there are in all: narrow layers have theirs first."""

MOST_SPECTRA = 120
"""So many layers have a spectrum."""

SPECTRUM_POINTS = 64
"""Numbers of a spectrum, at most."""

MOST_NODES = 200
"""Nodes of the graph of layer widths."""

MOST_EDGES = 1000
"""Its edges."""

MOST_TIMED = 300
"""Layers that are timed: those that take longest, in the order in which they run."""

PICTURE_SIDE = 192
"""Pixels of the longer side of a picture, at most."""

PICTURE_BYTES = 32_000
"""Bytes of a picture as base64; it is made smaller until it fits."""

_PNG = b"\x89PNG\r\n\x1a\n"
"""How such a file begins."""

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Which quantiles stand for many numbers."""


@dataclass(frozen=True, slots=True)
class UnitNumbers:
    """One quantity of the units of a layer.

    Either ``each`` is there or the quantiles, which are those at ``QUANTILES``.

    Attributes:
        each: Of each unit in turn; None for a unit of which it was not measured, as for those that
            went in an earlier round. Empty where there are quantiles.
        kept: Quantiles over the units that stayed; empty where there are none, and where ``each``
            is there.
        removed: The same over those that went.
    """

    each: tuple[float | None, ...] = ()
    kept: tuple[float, ...] = ()
    removed: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerDetail:
    """One layer width: a group of units.

    With several rounds the numbers are those of the last round.

    Attributes:
        name: The first weight that makes it, or else the first constant whose axis it is.
        units: Its units in the original.
        kept: Its units that are left.
        removable: How many of its units could go.
        parameters: What one of its units holds in the original.
        frozen: Why units of it stay, for most of those that must; empty if all could go.
        scores: What each unit was worth to the criterion, higher stays: of ``repair`` its place in
            the order of removal, of others the product of their factors. None where the layer has
            no numbers.
        w: W, the factor ``weight``, as the criterion multiplies it: over its geometric mean in the
            layer, so that 1 is what is usual there; not negative. None where it was not measured.
        r: R, the factor ``rank``, likewise.
        g: G, the factor ``gradient``, likewise.
        alive: Whether each unit stayed; empty where units are not listed.
    """

    name: str
    units: int
    kept: int
    removable: int
    parameters: int
    frozen: str = ""
    scores: UnitNumbers | None = None
    w: UnitNumbers | None = None
    r: UnitNumbers | None = None
    g: UnitNumbers | None = None
    alive: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The singular values of a layer's feature maps.

    Attributes:
        layer: The tensor that was looked at.
        values: Singular values over the largest one of the same map, falling from 1, in [0, 1]:
            means over maps. Of a map with more than ``SPECTRUM_POINTS`` so many at even distances,
            the first and the last included.
        size: How many singular values a map has: min(H, W).
        rank: The mean of R over the layer's channels, in [0, 1].
        maps: Over how many maps ``values`` is the mean; channels at even distances are taken.
        images: Of how many images these are.
    """

    layer: str
    values: tuple[float, ...]
    size: int
    rank: float
    maps: int
    images: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture.

    Attributes:
        png: A PNG file in base64, without ``data:``.
        width: Pixels.
        height: Pixels.

    Raises:
        ValueError: If it is no PNG file in base64, or has no size: a file may say anything.
    """

    png: str
    width: int
    height: int

    def __post_init__(self) -> None:
        if not base64.b64decode(self.png, validate=True).startswith(_PNG):
            raise ValueError("a picture is no PNG file")
        if min(self.width, self.height) < 1:
            raise ValueError(f"a picture of {self.width}x{self.height} pixels")


@dataclass(frozen=True, slots=True)
class Example:
    """One held-out image, and what both models make of it.

    Attributes:
        place: ``best``, ``median`` or ``worst``.
        name: Of the image, as the data set calls it.
        score: What the place is by: how much its own largest F-measure fell, in [-1, 1], or without
            masks ``error``.
        max_f_before: The original's largest F-measure on it, in [0, 1]; None without a mask.
        max_f_after: The pruned model's.
        mae_before: The original's mean absolute error on it, in [0, 1]; None without a mask.
        mae_after: The pruned model's.
        error: The largest relative error of the pruned model's outputs on it; None where that is no
            number, since one of them gives infinity or NaN where the other does not.
        input: The image, as the model gets it but for the normalisation.
        mask: What is salient; None without a mask.
        original: The original's saliency map, black for 0 and white for 1.
        pruned: The pruned model's.
        difference: The absolute difference of both, white for ``difference_white``.
        difference_white: The difference that is white, in (0, 1]: the largest of all examples, or 1
            where there is none.
    """

    place: str
    name: str
    score: float | None
    max_f_before: float | None
    max_f_after: float | None
    mae_before: float | None
    mae_after: float | None
    error: float | None
    input: Picture
    mask: Picture | None
    original: Picture
    pruned: Picture
    difference: Picture
    difference_white: float


@dataclass(frozen=True, slots=True)
class Examples:
    """Held-out images to look at.

    Attributes:
        by: What best and worst are by: ``max_f`` or ``error``.
        images: Of how many held-out images they are the best, the median and the worst.
        shown: Those, best first; fewer where there are fewer images.
    """

    by: str
    images: int
    shown: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class WidthNode:
    """One layer width in the graph of them, or several that follow each other.

    Attributes:
        name: Of the first of them.
        widths: How many layer widths it stands for; more than 1 in models of more than
            ``MOST_NODES``.
        units: Their units in the original.
        kept: Their units that are left.
        members: The first constants whose axes are of this width, at most ``MOST_MEMBERS``.
        constants: How many constants there are.
    """

    name: str
    widths: int
    units: int
    kept: int
    members: tuple[str, ...]
    constants: int


MOST_MEMBERS = 6
"""Names of constants at a node."""


@dataclass(frozen=True, slots=True)
class WidthEdge:
    """One layer width feeds another one: constants read the one and make the other.

    Attributes:
        source: The place of the node in ``Structure.nodes``.
        target: The place of the other one.
        layers: How many constants do so.
    """

    source: int
    target: int
    layers: int


@dataclass(frozen=True, slots=True)
class Structure:
    """How layer widths depend on each other.

    Attributes:
        nodes: In the model's order.
        edges: By source, then by target; at most ``MOST_EDGES``.
        edges_left: How many edges are not listed.
    """

    nodes: tuple[WidthNode, ...]
    edges: tuple[WidthEdge, ...]
    edges_left: int = 0


@dataclass(frozen=True, slots=True)
class DataSource:
    """What a run looked at, told so that somebody else can know whether it is the same.

    Attributes:
        path: The folder, file or source as it was given; None where samples were made.
        made: What was made, with its seed, where no data was given; empty otherwise.
        samples: How many samples statistics and recovery could look at.
        held_out: How many judged.
        sha256: Over the names and sizes of all images, masks or archives of the folder, in their
            order; empty where samples were made, or are of a source of others.
    """

    path: str | None
    made: str
    samples: int
    held_out: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how a run was made.

    Attributes:
        versions: Of ``wrg-onnx``, ``python``, ``onnx``, ``onnxruntime``, ``numpy`` and ``torch``,
            in this order; None for what is not installed.
        platform: The operating system and its version.
        processor: Its name, as the system tells it.
        cores: How many the process may use.
        provider: Where ONNX Runtime computed: ``cpu`` or ``cuda``.
        seed: Of all that is drawn.
        command: The words of the command line; a single one, the call, from Python.
        data: What it looked at; None if at weights alone.
        date: When it ended, in ISO 8601 with the offset from UTC.
    """

    versions: tuple[Version, ...]
    platform: str
    processor: str
    cores: int
    provider: str
    seed: int
    command: tuple[str, ...]
    data: DataSource | None
    date: str


@dataclass(frozen=True, slots=True)
class Version:
    """The version of a package; None where it is not installed."""

    package: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Details:
    """What a page shows of a pruning beyond its report.

    Attributes:
        layers: The layer widths in the model's order, those too that stay whole.
        environment: Where and how the run was made.
        structure: How layer widths depend on each other; None where the model has none.
        spectra: Of the layers whose feature maps' ranks were measured; empty where they were not.
        examples: The best, median and worst held-out image; None where no image was judged, or the
            model gives no map.
        latency: Each layer's time in both models; None where the run did not measure latency.
        layers_left: How many layer widths are not listed.
        spectra_left: How many spectra are not.
        timed_left: How many layers of ``latency`` are not.
        images: What the pruned model had on each image that was judged; None where none was.
    """

    layers: tuple[LayerDetail, ...]
    environment: Environment
    structure: Structure | None = None
    spectra: tuple[Spectrum, ...] = ()
    examples: Examples | None = None
    latency: SideBySide | None = None
    layers_left: int = 0
    spectra_left: int = 0
    timed_left: int = 0
    images: ImageValues | None = None
