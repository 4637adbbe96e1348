"""Reports that a page has every section of, and a reader of pages."""

from __future__ import annotations

import base64
import dataclasses
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser

from PIL import Image

from wrg_onnx.evaluate.agreement import OutputAgreement
from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.image_scores import SaliencyScores
from wrg_onnx.evaluate.image_values import ImageValues
from wrg_onnx.evaluate.judge import Accuracy, Judged
from wrg_onnx.finetune import Between, EpochResult
from wrg_onnx.latency import Latency, Noise, Ratio, Speed
from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.recover import LayerFit
from wrg_onnx.report.details import (
    DataSource,
    Details,
    Environment,
    Example,
    Examples,
    LayerDetail,
    Picture,
    Spectrum,
    Structure,
    UnitNumbers,
    Version,
    WidthEdge,
    WidthNode,
)
from wrg_onnx.report.records import GroupReport, PruneReport, RecoveryReport, ValidateReport
from wrg_onnx.report.search import Probe, SearchReport
from wrg_onnx.report.sweep import SweepCut, SweepPoint, SweepReport
from wrg_onnx.report.unfinished import Unfinished
from wrg_onnx.rewrite import Equivalence

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "<!--",
    "]]>",
    "x" * 10_000,
    "\u202egnp.exe\u2066",
    "line\nbreak\x1b[31m\x00\x07",
    "{{ 7 * 7 }} {% raw %}",
    "&amp;&#x3c;b&#x3e;",
    "\ud800",
    "javascript:alert(3)",
)
"""What a name in a model or of a file may hold."""


def change(metric="max F", before=0.9, after=0.85, low=-0.08, high=-0.02, *, falls=True):
    drop = before - after if falls else after - before
    return Change(metric, before, after, drop, low, high, 40, falls)


def scores(value, mae=0.05):
    return SaliencyScores(mae, *[value] * 5, mae, value, value, images=40)


def speed(provider="cpu", value=2.0):
    return Speed(
        provider, Latency(10.0, 12.0, 10.1, 50), Latency(10.0 / value, 7.0, 5.2, 50),
        Ratio(value, value - 0.1, value + 0.1), Noise(None, 1.2),
    )  # fmt: skip


def picture(shade=128):
    stream = io.BytesIO()
    Image.new("L", (8, 6), shade).save(stream, "PNG")
    return Picture(base64.b64encode(stream.getvalue()).decode(), 8, 6)


def example(place, name="a picture.png", **changed):
    values = {
        "max_f_before": 0.9, "max_f_after": 0.8, "mae_before": 0.05, "mae_after": 0.06,
        "mask": picture(), **changed,
    }  # fmt: skip
    return Example(
        place=place, name=name, score=0.1, error=0.2, input=picture(), original=picture(),
        pruned=picture(), difference=picture(), difference_white=0.5, **values,
    )  # fmt: skip


def on_images(shift=0.0, digest="same", metrics=("max F",)):
    """What a model had on 40 images, each another number."""
    values = tuple(0.6 + shift + 0.01 * number for number in range(40))
    return ImageValues(digest, 40, dict.fromkeys(metrics, values))


def numbers(*values):
    return UnitNumbers(each=values)


def layer(name="conv.weight", units=4, kept=3, **changed):
    values = {
        "scores": numbers(0.1, 2.0, 3.0, 40.0), "w": numbers(0.5, 1.0, 1.1, 2.0),
        "r": numbers(1.0, 1.0, 0.9, 1.1), "g": numbers(0.001, 1.0, None, 9.0),
        "alive": (False, True, True, True), **changed,
    }  # fmt: skip
    return LayerDetail(name, units, kept, values.pop("removable", units), 100, **values)


WIDE = layer(
    "wide.weight", 600, 300, alive=(), frozen="input 'x' is the model's input", removable=500,
    scores=UnitNumbers((), (1.0, 2.0, 3.0, 4.0, 5.0), (0.1, 0.2, 0.3, 0.4, 0.5)),
    w=None, r=None, g=None,
)  # fmt: skip

ENVIRONMENT = Environment(
    versions=(Version("wrg-onnx", "9.9"), Version("torch", None)),
    platform="an os", processor="a processor", cores=4, provider="cpu", seed=7,
    command=("wrg-onnx", "prune", "a model.onnx", "--ratio", "0.5"),
    data=DataSource("my_images", "", 32, 8, "abc123"), date="2025-01-02T03:04:05+00:00",
)  # fmt: skip

DETAILS = Details(
    layers=(layer(), WIDE),
    environment=ENVIRONMENT,
    structure=Structure(
        (WidthNode("conv.weight", 1, 4, 3, ("conv.weight", "conv.bias"), 2),
         WidthNode("wide.weight", 2, 600, 300, ("wide.weight",), 1)),
        (WidthEdge(0, 1, 1), WidthEdge(1, 0, 1)), 3,
    ),
    spectra=(Spectrum("map", (1.0, 0.5, 0.01, 0.0), 4, 0.75, 16, 2),),
    examples=Examples("max_f", 40, tuple(map(example, ("best", "median", "worst")))),
    latency=SideBySide(
        (LayerTime("node", "Conv", 1, 2.0, 1.0, macs_before=100, macs_after=50, why="12 as 16"),
         LayerTime("new", "Relu", 0, None, 0.5)),
        2.5, 1.5,
    ),
    images=on_images(metrics=("MAE", "max F")),
)  # fmt: skip

RECOVERY = RecoveryReport(
    method="finetune", samples=32, rounds=1,
    fits=(LayerFit("map", 0.5, 0.02, 0.1, 900, 900), LayerFit("zero", 0.0, 0.0, None, 9, 9),
          LayerFit("unmeasured", None, None, None, 9, 9)),
    left={"shared with another layer": 2},
    history=(EpochResult(0, None, 0.5, 0.8), EpochResult(1, 0.4, 0.45, 0.82)),
    best_epoch=1, chosen=Between(1.0, 0.45, 0.82), between=(Between(1.0, 0.45, 0.82),),
)  # fmt: skip

SEARCH = SearchReport(
    metric="max F", most=0.05,
    probes=(Probe(0.5, 0.5, change(), True, 1.0), Probe(0.7, 0.7, None, False, 1.0, "no such")),
    checks=(Probe(0.5, 0.5, change(), True, 2.0),),
    recovered_on=16, samples=32, searched_on=20, checked_on=20, apart=True,
    command="wrg-onnx prune m.onnx --ratio 0.5",
)  # fmt: skip

PRUNED = PruneReport(
    model="models/m.onnx", output="m.pruned.onnx", criterion="sel", budget="params",
    scope="global", ratio=0.5, reached=0.5, calibration="32 images with masks", images=20,
    certainty=0.985, units=604, removed=301, equivalence=Equivalence(5e-7, 1e-4, 18),
    before=Cost(1_000_000, 2_000_000, 4_000_000), after=Cost(500_000, 999_000, 2_000_000),
    recovery=RECOVERY,
    accuracy=Accuracy(
        "40 images", scores(0.9), scores(0.85), (OutputAgreement("out", 0.12, 40, 0),),
        Judged(scores(0.4, mae=0.2), (OutputAgreement("out", 0.9, 40, 0),)),
    ),
    speed=(speed(),),
    groups=(GroupReport("conv.weight", 4, 3, 4, 100, 2),
            GroupReport("wide.weight", 600, 300, 500, 100, 1)),
    notes=("something to know",), seconds={"analyse": 0.5, "evaluate": 1.5},
    cpu_seconds={"analyse": 0.4}, search=SEARCH, details=DETAILS,
    changes=(change("MAE", 0.05, 0.05, -0.01, 0.01, falls=False), change()),
)  # fmt: skip
"""A pruning of which everything is known."""

BARE = dataclasses.replace(
    PRUNED, output=None, certainty=None, recovery=None, accuracy=None, speed=(), groups=(),
    notes=(), seconds={}, cpu_seconds={}, search=None, details=None, changes=(),
)  # fmt: skip
"""One of which nothing is known but what it cut."""


def point(criterion="repair", reached=0.3, *, knee=False, images=None, **changed):
    accuracy = Accuracy("40 images", scores(0.9), scores(0.85), ())
    cut = SweepCut(
        reached, Cost(700_000, 1, 2), changed.pop("change", change()), accuracy, (speed(),), 1e-6,
        1e-4, 3, 1.0, 1.0, None, on_images() if images is None else images,
    )  # fmt: skip
    return SweepPoint(criterion, reached, f"wrg-onnx prune m.onnx --ratio {reached}", cut,
                      knee=knee, **changed)  # fmt: skip


SWEPT = SweepReport(
    model="models/m.onnx", budget="params", before=Cost(1_000_000, 2_000_000, None),
    metric="max F", falls=True, recovery="ridge", calibration="32 images", judged="40 images",
    points=(point(), point(reached=0.5, knee=True),
            point("l1", images=on_images(-0.02)),
            SweepPoint("l1", 0.9, "wrg-onnx prune m.onnx --ratio 0.9", None, "it is too much", 1)),
    notes=("something to know",),
)  # fmt: skip

VALIDATED = ValidateReport(
    original="m.onnx", pruned="m.pruned.onnx", problems=(), before=PRUNED.before,
    after=PRUNED.after, accuracy=dataclasses.replace(PRUNED.accuracy, cut=None), speed=PRUNED.speed,
    notes=("something",), changes=PRUNED.changes,
)  # fmt: skip


def hostile(text):
    """Return a report in which every name that a model, a file or a user gives is this text."""
    details = dataclasses.replace(
        DETAILS,
        layers=(layer(text, frozen=text, removable=3), layer(text)),
        environment=dataclasses.replace(DETAILS.environment, command=("wrg-onnx", text),
                                        processor=text),
        structure=Structure((WidthNode(text, 1, 4, 3, (text,), 1),), ()),
        spectra=(dataclasses.replace(DETAILS.spectra[0], layer=text),),
        examples=dataclasses.replace(DETAILS.examples, shown=(example("best", text),)),
        latency=SideBySide((LayerTime(text, "Conv", 0, 1.0, 1.0, why=text),), 1.0, 1.0),
    )  # fmt: skip
    accuracy = PRUNED.accuracy.agreement[0]
    cut = dataclasses.replace(
        PRUNED.accuracy.cut, agreement=(dataclasses.replace(accuracy, output=text),)
    )
    return dataclasses.replace(
        PRUNED, model=text, output=text, criterion=text, calibration=text, notes=(text,),
        details=details,
        accuracy=dataclasses.replace(PRUNED.accuracy, data=text, cut=cut,
                                     agreement=(dataclasses.replace(accuracy, output=text),)),
        groups=tuple(dataclasses.replace(one, name=text) for one in PRUNED.groups),
        recovery=dataclasses.replace(PRUNED.recovery, fits=(LayerFit(text, 0.5, 0.1, 1.0, 9, 9),),
                                     left={text: 1}),
        search=dataclasses.replace(PRUNED.search, command=text),
        unfinished=(Unfinished("latency", "ModelError", text, known=True),),
    )  # fmt: skip


_ALONE = {"meta", "img", "br", "hr", "input", "link", "!doctype"}


@dataclass
class Read(HTMLParser):
    """What a page holds, as a browser reads it."""

    text: str
    tags: list[tuple[str, dict]] = field(default_factory=list)
    scripts: list[tuple[dict, str]] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, dict]] = []
        self.feed(self.text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.tags.append((tag, dict(attrs)))
        if tag not in _ALONE:
            self._open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> without a beginning"
        assert self._open[-1][0] == tag, f"</{tag}> within {self._open[-1]}"
        self._open.pop()

    def handle_data(self, data):
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "script":
            self.scripts.append((attributes, data))
        elif tag == "style":
            self.styles.append(data)
        elif data.strip():
            self.words.append(" ".join(data.split()))

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def said(self) -> str:
        return " ".join(self.words)
