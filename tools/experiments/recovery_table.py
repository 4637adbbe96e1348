"""What each recovery buys on trained models: the tables of docs/recovery.md.

    python tools/experiments/recovery_table.py saliency  [--ratio 0.3 --ratio 0.5]
    python tools/experiments/recovery_table.py outputs   [--model yolox_nano ...]

Needs the images and models of ../shared/data, which may not be redistributed. The pairs of SOD300
and DAVIS2016-val that the index calls ``train`` calibrate, those that it calls ``val`` judge. A
model is cut once; the recoveries start from the same cut.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from shared_pairs import DATA, link
from wrg_onnx.data.dataset import DataSet, from_directory
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.evaluate.image_scores import SaliencyScores
from wrg_onnx.evaluate.judge import Accuracy, judge
from wrg_onnx.graph import Graph, Session, open_session
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.choose import choose_units
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.cut import Cut, cut_model
from wrg_onnx.pipeline.recovery import recover
from wrg_onnx.pipeline.samples import Samples, find_saliency, gather_samples

SETS = ("SOD300", "DAVIS2016-val")
SALIENCY = "csnet_L_x2_224"
PHOTOS: dict[str, DataOptions] = {
    # What each model was trained to be fed; the default is ImageNet's mean and deviation, RGB.
    "deeplab_v3_mnv2_dm05_tf": DataOptions(scale=1 / 127.5, mean=(1.0,) * 3, std=(1.0,) * 3),
    "PP_OCR_v2_det": DataOptions(),
    "yolox_nano": DataOptions(scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3, order="bgr"),
    "agllnet_256x256": DataOptions(scale=1 / 255, mean=(0.0,) * 3, std=(1.0,) * 3),
}
TEXT = ("PP_OCR_v2_det",)
"""Models that look for text."""

METHODS = (Recovery.NONE, Recovery.BIAS, Recovery.RIDGE)


def with_text(photos: Path, folder: Path) -> Path:
    """Write words on photographs: a text detector sees nothing in them as they are."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
    for photo in sorted((photos / "images").iterdir()):
        picture = Image.open(photo).convert("RGB")
        draw = ImageDraw.Draw(picture)
        for _ in range(rng.integers(4, 10)):
            words = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(3)]
            place = (int(rng.integers(picture.width)) - 20, int(rng.integers(picture.height)))
            font = ImageFont.load_default(int(rng.integers(12, 36)))
            ink, paper = ((255, 255, 255), (0, 0, 0))[:: 1 if rng.random() < 0.5 else -1]
            if rng.random() < 0.5:
                draw.rectangle(draw.textbbox(place, " ".join(words), font), fill=paper)
            draw.text(place, " ".join(words), fill=ink, font=font)
        picture.save(folder / "images" / f"{photo.stem}.png")
    return folder


@dataclass(frozen=True)
class Bench:
    """A model that is analysed, its samples, and how to judge it."""

    model: Model
    config: PruneConfig
    samples: Samples
    original: Session

    @classmethod
    def of(cls, name: str, config: PruneConfig) -> Bench:
        """Analyse a model of the shared data."""
        model = analyse(DATA / "models" / f"{name}.onnx", config.data)
        samples = gather_samples(model.graph, model.input_shapes, config.data, seed=config.seed)
        original = open_session(model.graph)
        found = find_saliency(original, samples.calibration, samples.preprocessing)
        return cls(model, config, replace(samples, saliency=found), original)

    @property
    def saliency(self) -> SaliencyMap | None:
        """How to read the saliency map."""
        return self.samples.saliency

    def cut(self) -> Cut:
        """Measure and cut the model."""
        step = (self.config.ratio, self.config.floor)
        clock = Clock(lambda *_: None)
        chosen = choose_units(self.model, self.samples, step, self.config, clock)
        return cut_model(self.model, chosen, self.config, clock)

    def recovered(self, cut: Cut) -> Iterator[tuple[Recovery, Graph, float]]:
        """Yield the cut model after each recovery, and how long it took in seconds."""
        for method in METHODS:
            start = time.perf_counter()
            config = replace(self.config, recover=method)
            found = recover(self.model.graph, cut, cut.kept, self.samples, config, lambda *_: None)
            graph = cut.graph if found is None else found.graph
            yield method, graph, time.perf_counter() - start

    def judge(self, graph: Graph, data: DataSet) -> Accuracy:
        """Hold a model against the original."""
        return judge(self.original, open_session(graph), data, self.saliency)

    def all_of(self, folder: Path) -> DataSet:
        """Open a folder as the model is fed."""
        return from_directory(folder, self.model.graph.inputs, self.samples.preprocessing)


@click.group()
def main() -> None:
    """Measure what recovery buys."""
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there; nothing was measured")


@main.command()
@click.option("--ratio", "ratios", type=float, multiple=True, default=(0.3, 0.5))
@click.option("--samples", type=int, default=128)
def saliency(ratios: tuple[float, ...], samples: int) -> None:
    """Judge the saliency of CSNet, cut and recovered, on two validation splits."""
    with tempfile.TemporaryDirectory() as scratch:
        train = link("train", SETS, Path(scratch, "train"))
        judges = {name: link("val", (name,), Path(scratch, name)) for name in SETS}
        print("| ratio | recovery | seconds |", " | ".join(f"{s} MAE | max F" for s in SETS), "|")
        print("|---|---|---|" + "---|" * 2 * len(SETS))
        for ratio in ratios:
            data = DataOptions(path=train, samples=samples)
            bench = Bench.of(SALIENCY, PruneConfig(ratio, data=data))
            cut = bench.cut()
            for method, graph, seconds in bench.recovered(cut):
                found = [bench.judge(graph, bench.all_of(folder)) for folder in judges.values()]
                if method is Recovery.NONE:
                    shown = _scores(accuracy.before for accuracy in found)
                    print(f"| {ratio} | unpruned | | {shown} |", flush=True)
                shown = _scores(accuracy.after for accuracy in found)
                print(f"| {ratio} | {method.value} | {seconds:.0f} | {shown} |", flush=True)


def _scores(found: Iterable[SaliencyScores | None]) -> str:
    """Write MAE and max F of each split; all of them have masks."""
    return " | ".join(f"{one.mae:.4f} | {one.max_f:.4f}" for one in found if one is not None)


@main.command()
@click.option("--model", "models", multiple=True, default=tuple(PHOTOS))
@click.option("--ratio", type=float, default=0.3)
@click.option("--samples", type=int, default=128)
def outputs(models: tuple[str, ...], ratio: float, samples: int) -> None:
    """Compare the outputs of cut and recovered models with the original's on photographs."""
    with tempfile.TemporaryDirectory() as scratch:
        train = link("train", SETS, Path(scratch, "train"))
        val = link("val", ("SOD300",), Path(scratch, "val"))
        written = {one: with_text(one, Path(scratch, f"{one.name}-text")) for one in (train, val)}
        print("| model | output |", " | ".join(m.value for m in METHODS), "| ridge / none |")
        print("|---|---|" + "---|" * (len(METHODS) + 1))
        for name in models:
            seen = {one: written[one] if name in TEXT else one for one in (train, val)}
            data = replace(PHOTOS[name], path=seen[train], samples=samples)
            bench = Bench.of(name, PruneConfig(ratio, data=data))
            errors: dict[str, list[float]] = {}
            for _, graph, _ in bench.recovered(bench.cut()):
                for one in bench.judge(graph, bench.all_of(seen[val])).agreement:
                    assert one.relative_error is not None  # an image fits every one of them
                    errors.setdefault(one.output, []).append(one.relative_error)
            for output, found in errors.items():
                shown = " | ".join(f"{error:.3f}" for error in found)
                print(f"| {name} | {output} | {shown} | {found[-1] / found[0]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
