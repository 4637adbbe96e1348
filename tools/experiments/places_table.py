"""What it changes at which places layers are looked at: the tables of docs/adr/0020.

    python tools/experiments/places_table.py fallback yolox_nano --draw evenly --draw gradient
    python tools/experiments/places_table.py objects models/tiny_unet.onnx --ratio 0.8 \
        --setting share=0.25 --setting threshold=0.1 --setting dilation=1 --setting masks

``fallback`` needs ../shared/data; it draws half of the places of a model by something else than a
saliency map. ``objects`` changes which places count as the object's. Both replace functions of
``recover.measure`` for a run: nothing of this is an option of the package.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from unittest.mock import patch

import numpy as np

from choice_table import Bench, cpu_seconds
from recovery_table import PHOTOS, SETS, TEXT, with_text
from shared_pairs import DATA, link
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import SaliencyMap, read_saliency
from wrg_onnx.factors import Float64Array, IntArray
from wrg_onnx.graph import Array, Graph, open_session
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig, Recovery
from wrg_onnx.recover import measure
from wrg_onnx.recover.layers import LinearLayer, find_layers
from wrg_onnx.recover.places import THRESHOLD, draw_places, object_places

YOLOX_SIDES = (52, 26, 13)
"""The maps that lie end to end in YOLOX's output."""

SCORE = 0.1
"""From which objectness times class on YOLOX is said to see something."""

Problem = measure._Problem  # noqa: SLF001 - what is tried here is no option of it


class Draw(Enum):
    """By what half of the places are drawn, each with a chance in proportion to it."""

    EVENLY = "evenly"
    MAP = "map"
    ACTIVATION = "activation"
    DEVIATION = "deviation"
    OUTPUTS = "outputs"
    GRADIENT = "gradient"


def energy(array: Array, axis: int, *, centred: bool = False) -> Array:
    """Return the mean square over channels at each place, each channel over its own mean square.

    Args:
        array: Of one sample.
        axis: Its channels.
        centred: Whether each channel is counted from its mean.
    """
    rows = np.moveaxis(np.asarray(array, np.float32), axis, 0).reshape(array.shape[axis], -1)
    if centred:
        rows = rows - rows.mean(axis=1, keepdims=True)
    squares = np.square(rows)
    found = squares / np.maximum(squares.mean(axis=1, keepdims=True), np.float32(1e-30))
    return np.asarray(found.mean(axis=0))


def output_map(outputs: Mapping[str, Array]) -> Array:
    """Return (H, W), how unusual a model's outputs are at each place; of YOLOX, its scores."""
    (array,) = outputs.values()
    if array.shape[1:] == (sum(side**2 for side in YOLOX_SIDES), 85):
        score = array[0, :, 4] * array[0, :, 5:].max(axis=1)
        parts = np.split(score, np.cumsum([side**2 for side in YOLOX_SIDES])[:-1])
        most = YOLOX_SIDES[0]
        maps = [np.kron(part.reshape(side, side), np.ones((most // side,) * 2))
                for part, side in zip(parts, YOLOX_SIDES, strict=True)]  # fmt: skip
        return np.asarray(np.max(maps, axis=0), np.float32)
    axis = 1 if array.shape[1] < array.shape[3] else 3
    sides = [size for place, size in enumerate(array.shape) if place not in (0, axis)]
    return energy(array, axis, centred=True).reshape(sides)


def coarser(values: Array, shape: tuple[int, ...]) -> Array:
    """Bring (H, W) to the places of a layer, (1, h, w): the largest of what each one covers."""
    for axis, size in enumerate(shape[1:]):
        length = values.shape[axis]
        starts = np.arange(size) * length // size
        if size >= length:
            values = values.take(starts, axis)
        else:
            values = np.maximum.reduceat(values, starts, axis)
    return values.ravel()


def gradients(graph: Graph, data: DataSet) -> list[dict[str, Array]]:
    """Take the gradient of the outputs' squares at each layer's output; its energy by layer."""
    import torch

    from wrg_onnx.twin import build_twin, widened
    from wrg_onnx.twin.batches import join

    torch.set_num_threads(1)
    layers = find_layers(graph).layers
    twin = build_twin(widened(graph), trainable=False).eval()
    found = []
    for sample in data:
        leaves: dict[str, torch.Tensor] = {}

        def tap(name: str, value: torch.Tensor) -> torch.Tensor:
            leaves[name] = torch.zeros_like(value, requires_grad=True)  # noqa: B023 - used at once
            return value + leaves[name]  # noqa: B023

        (batch,) = join([sample], joins=False)
        through = {x.target: (lambda value, name=x.target: tap(name, value)) for x in layers}
        values = twin(batch.feeds, (), through=through)
        squares = torch.stack([values[x.name].float().square().sum() for x in graph.outputs])
        slopes = torch.autograd.grad(squares.sum(), list(leaves.values()), allow_unused=True)
        axes = {layer.target: layer.axis for layer in layers}
        found.append({
            name: energy(slope.numpy(), axes[name])
            for name, slope in zip(leaves, slopes, strict=True) if slope is not None
        })  # fmt: skip
    return found


@contextmanager
def drawn_by(draw: Draw, bench: Bench) -> Iterator[Bench]:
    """Let half of the places be drawn by something."""
    saliency = bench.samples.saliency if draw is Draw.MAP else None
    own = replace(bench, samples=replace(bench.samples, saliency=saliency))
    if draw in (Draw.EVENLY, Draw.MAP):
        yield own
        return
    data = own.samples.calibration
    maps = [output_map(bench.original.run(x.feeds)) for x in data] if draw is Draw.OUTPUTS else []
    slopes = gradients(own.model.graph, data) if draw is Draw.GRADIENT else []

    def worth(
        layer: LinearLayer, index: int, values: Mapping[str, Array], once: tuple[int, ...]
    ) -> Array | None:
        if draw is Draw.GRADIENT:
            return slopes[index].get(layer.target)
        if draw is Draw.OUTPUTS:
            return coarser(maps[index], once) if len(once) == 3 and once[0] == 1 else None
        return energy(values[layer.target], layer.axis, centred=draw is Draw.DEVIATION)

    whole_init, whole_add = Problem.__init__, Problem.add

    def init(self: Problem, *arguments: object) -> None:
        whole_init(self, *arguments)  # type: ignore[arg-type]
        if draw in (Draw.ACTIVATION, Draw.DEVIATION):
            self.read += [one.layer.target for one in self.measured]

    def add(self: Problem, index: int, values: Mapping[str, Array], *rest: object) -> None:
        def drawn(
            once: tuple[int, ...],
            wanted: int,
            objects: IntArray,
            share: float,
            rng: np.random.Generator,
        ) -> IntArray:
            found = [worth(one.layer, index, values, once) for one in self.measured]
            known = [x for x in found if x is not None and len(x) == math.prod(once)]
            if not known or math.prod(once) == 1:
                return draw_places(once, wanted, objects, share, rng)
            return in_proportion(np.mean(known, axis=0), wanted, share, rng)

        with patch.object(measure, "draw_places", drawn):
            whole_add(self, index, values, *rest)  # type: ignore[arg-type]

    with (
        patch.object(Problem, "__init__", init),
        patch.object(Problem, "add", add),
        patch.object(measure, "kernel_of_all_places", lambda *_: None),
    ):
        yield own


def in_proportion(worth: Array, wanted: int, share: float, rng: np.random.Generator) -> IntArray:
    """Draw a share of the places with a chance in proportion to what they are worth."""
    count = len(worth)
    wanted = min(wanted, count)
    chance = np.maximum(worth, 0) + 1e-12
    there = rng.choice(count, round(share * wanted), replace=False, p=chance / chance.sum())
    anywhere = rng.choice(count, wanted - len(there), replace=False)
    return np.sort(np.concatenate([there, anywhere]))


@dataclass(frozen=True)
class Setting:
    """What counts as the object's.

    Attributes:
        share: Which share of the places is drawn there.
        threshold: From which value of the map on.
        dilation: By how many places of a layer's own map the object grows.
        masks: Whether the images' masks say where it is, in place of the model's map.
    """

    share: float = 0.5
    threshold: float = THRESHOLD
    dilation: int = 0
    masks: bool = False

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Read ``share=0.25,dilation=1``, ``masks`` or nothing."""
        found = dict(part.partition("=")[::2] for part in text.split(",") if part)
        own = cls(
            float(found.pop("share", cls.share)),
            float(found.pop("threshold", cls.threshold)),
            int(found.pop("dilation", cls.dilation)),
            found.pop("masks", None) is not None,
        )
        if found:
            raise argparse.ArgumentTypeError(f"there is no setting {', '.join(sorted(found))}")
        return own


@contextmanager
def counting(setting: Setting, data: DataSet) -> Iterator[None]:
    """Let what a setting says count as the object's."""
    samples = iter(data)

    def places(saliency: Array, _: float, shape: tuple[int, ...]) -> IntArray:
        found = object_places(saliency, setting.threshold, shape)
        return dilated(found, shape, setting.dilation) if len(found) else found

    def read(output: Array, saliency: SaliencyMap) -> Array:
        mask = next(samples).mask if setting.masks else None  # each sample is read once, in order
        return read_saliency(output, saliency) if mask is None else mask.astype(np.float32)

    with (
        patch.object(measure, "object_places", places),
        patch.object(measure, "read_saliency", read),
    ):
        yield


def dilated(places: IntArray, shape: tuple[int, ...], steps: int) -> IntArray:
    """Let places of a map, of its flattened shape, grow by some steps along both axes."""
    seen = np.zeros(shape[1:], bool)
    seen.flat[places] = True
    for axis in (0, 1):
        own = np.moveaxis(seen, axis, 0)
        base = own.copy()
        for step in range(1, min(steps + 1, len(own))):
            own[step:] |= base[:-step]
            own[:-step] |= base[step:]
    return np.flatnonzero(seen)


def mean_error(bench: Bench, graph: Graph, data: DataSet) -> float:
    """Return what the map of a model has more on average, over all places, over the original's."""
    saliency = bench.samples.saliency
    assert saliency is not None
    pruned = open_session(graph)
    first, second = (
        np.mean([read_saliency(x.run(one.feeds)[saliency.output], saliency).mean(dtype=np.float64)
                 for one in data])
        for x in (bench.original, pruned)
    )  # fmt: skip
    return float(second / first - 1)


def details(bench: Bench, graph: Graph) -> str:
    """Tell YOLOX's error by kind of output, everywhere and where it sees something."""
    pruned = open_session(graph)
    kinds = {"boxes": slice(0, 4), "objectness": slice(4, 5), "classes": slice(5, 85)}
    sums: dict[str, Float64Array] = {}
    for sample in bench.judges[0]:
        (a,), (b,) = (list(x.run(sample.feeds).values()) for x in (bench.original, pruned))
        if a.shape[-1] != 85:
            return ""
        sees = a[0, :, 4] * a[0, :, 5:].max(axis=1) > SCORE
        for where, chosen in (("", np.ones_like(sees)), (" where seen", sees)):
            for kind, columns in kinds.items():
                x, y = (np.asarray(one[0, chosen, columns], np.float64) for one in (a, b))
                both = np.array([np.square(x - y).sum(), np.square(x).sum()])
                sums[kind + where] = sums.get(kind + where, 0) + both
    return ", ".join(f"{kind} {math.sqrt(lost / all_):.3f}" for kind, (lost, all_) in sums.items())


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fallback", help="draw by something else than a saliency map")
    one.add_argument("model", choices=tuple(PHOTOS))
    one.add_argument("--draw", type=Draw, action="append", help="may be repeated")
    two = commands.add_parser("objects", help="change what counts as the object's")
    two.add_argument("model", type=Path, help="an ONNX file with a saliency map")
    two.add_argument("--data", type=Path, help="images, and maybe masks, to measure on")
    two.add_argument("--judge", type=Path, action="append", default=[], help="that judge")
    two.add_argument("--ratio", type=float, default=0.6)
    two.add_argument("--budget", choices=("params", "macs"), default="params")
    two.add_argument("--setting", type=Setting.parse, action="append", help="may be repeated")
    for command in (one, two):
        command.add_argument("--samples", type=int, default=32)
        command.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def fallback(options: argparse.Namespace, scratch: Path) -> None:
    """Judge a model's outputs after each way to draw."""
    train = link("train", SETS, scratch / "train")
    judge = link("val", ("SOD300",), scratch / "val")
    if options.model in TEXT:
        train, judge = (with_text(x, scratch / f"{x.name}-text") for x in (train, judge))
    data = replace(PHOTOS[options.model], path=train, samples=options.samples)
    config = PruneConfig(0.3, data=data, recover=Recovery.RIDGE, seed=options.seed)
    bench = Bench.of(DATA / "models" / f"{options.model}.onnx", config, [judge])
    for draw in options.draw or Draw:
        with drawn_by(draw, bench) as own:
            start = cpu_seconds()
            graph = own.recovered(own.cut(config), config)
            took = cpu_seconds() - start
        (accuracy,) = bench.judge(graph)
        errors = ", ".join(f"{one.relative_error:.4f}" for one in accuracy.agreement)
        print(f"| {draw.value} | {errors} | {details(bench, graph)} | {took:.0f} s |", flush=True)


def objects(options: argparse.Namespace) -> None:
    """Judge a model's map after each setting."""
    data = DataOptions(path=options.data, samples=options.samples)
    config = PruneConfig(
        options.ratio, BudgetKind(options.budget), data=data, recover=Recovery.RIDGE,
        seed=options.seed,
    )  # fmt: skip
    bench = Bench.of(options.model, config, options.judge)
    for setting in options.setting or (Setting(),):
        own = replace(config, at_objects=setting.share)
        with counting(setting, bench.samples.calibration):
            graph = bench.recovered(bench.cut(own), own)
        print(f"| {setting}", _scores(bench, graph), flush=True)


def _scores(bench: Bench, graph: Graph) -> str:
    cells: list[float] = []
    judged: Sequence[DataSet] = bench.judges
    for accuracy, data in zip(bench.judge(graph), judged, strict=True):
        scores = accuracy.after
        assert scores is not None
        error = max(one.relative_error or 0.0 for one in accuracy.agreement)
        cells += [scores.max_f, scores.weighted_f, scores.s_measure, error]
        cells.append(mean_error(bench, graph, data))
    return "".join(f"| {cell:.4f} " for cell in cells) + "|"


def main() -> None:
    """Make one of both tables."""
    options = parse()
    if options.command == "objects":
        objects(options)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            fallback(options, Path(scratch))


if __name__ == "__main__":
    main()
