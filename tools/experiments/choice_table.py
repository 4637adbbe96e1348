"""What each choice of units, and of places, leaves of a model after ridge: docs/sel.md.

    python tools/experiments/choice_table.py models/tiny_unet.onnx --ratio 0.6 --ratio 0.8
    python tools/experiments/choice_table.py csnet.onnx --data train --judge SOD300 --judge DAVIS \
        --ratio 0.3 --criterion sel --criterion repair --at-objects 0 --at-objects 0.5

Without --data the generator makes the images, and 32 others judge. The cost is what choice and
recovery take in CPU seconds, in plain forward passes of the same images in the same run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from wrg_onnx.data.dataset import DataSet, from_directory  # noqa: E402 - needs the root
from wrg_onnx.evaluate.judge import Accuracy, judge  # noqa: E402
from wrg_onnx.graph import Graph, Session, open_session  # noqa: E402
from wrg_onnx.pipeline.analyse import Model, analyse  # noqa: E402
from wrg_onnx.pipeline.choose import choose_units  # noqa: E402
from wrg_onnx.pipeline.clock import Clock  # noqa: E402
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig, Recovery  # noqa: E402
from wrg_onnx.pipeline.cut import Cut, cut_model  # noqa: E402
from wrg_onnx.pipeline.recovery import recover  # noqa: E402
from wrg_onnx.pipeline.samples import Samples, open_samples  # noqa: E402
from wrg_onnx.select import Criterion, criterion_names  # noqa: E402

METRICS = ("max_f", "mean_f", "weighted_f", "s_measure", "max_e", "mae")
HEAD = "max F | mean F | weighted F | S | max E | MAE"


@dataclass(frozen=True)
class Bench:
    """A model, what it is measured on, and what judges it."""

    model: Model
    samples: Samples
    judges: Sequence[DataSet]
    original: Session

    @classmethod
    def of(cls, path: Path, config: PruneConfig, judges: Sequence[Path]) -> Bench:
        """Open a model and its images."""
        model = analyse(path, config.data)
        graph, shapes = model.graph, model.input_shapes
        samples = open_samples(
            graph, shapes, config.data, graph, provider=config.provider, seed=config.seed
        )
        sets = [from_directory(one, graph.inputs, samples.preprocessing) for one in judges]
        return cls(model, samples, sets or [samples.validation], open_session(graph))

    def plain(self) -> float:
        """Return the CPU seconds that the images take through the original."""
        start = cpu_seconds()
        for sample in self.samples.calibration:
            self.original.run(sample.feeds)
        return cpu_seconds() - start

    def cut(self, config: PruneConfig) -> Cut:
        """Choose and cut."""
        clock, step = Clock(lambda *_: None), (config.ratio, config.floor)
        chosen = choose_units(self.model, self.samples, step, config, clock)
        return cut_model(self.model, chosen, config, clock)

    def recovered(self, cut: Cut, config: PruneConfig) -> Graph:
        """Solve for the weights that are left."""
        found = recover(self.model.graph, cut, cut.kept, self.samples, config, lambda *_: None)
        assert found is not None
        return found.graph

    def judge(self, graph: Graph) -> list[Accuracy]:
        """Hold a model against the masks and the original."""
        pruned = open_session(graph)
        return [judge(self.original, pruned, one, self.samples.saliency) for one in self.judges]


def cpu_seconds() -> float:
    """Return what this process used so far."""
    times = os.times()
    return times.user + times.system


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("model", type=Path, help="an ONNX file")
    add("--data", type=Path, help="images, and maybe masks, to measure on")
    add("--judge", type=Path, action="append", default=[], help="images and masks that judge")
    add("--samples", type=int, default=32, help="images to measure on (%(default)s)")
    add("--ratio", type=float, action="append", help="may be repeated (0.6)")
    add("--budget", choices=("params", "macs"), default="params", help="(%(default)s)")
    add("--criterion", choices=criterion_names(), action="append", help="(repair)")
    add("--at-objects", type=float, action="append", help="share of the places (0.5)")
    add("--seed", type=int, default=0, help="chooses the images and the places (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Cut the model by each ratio, criterion and share of places at the object; judge each."""
    options = parse()
    config = PruneConfig(
        0.5, BudgetKind(options.budget),
        data=DataOptions(path=options.data, samples=options.samples),
        recover=Recovery.RIDGE, seed=options.seed,
    )  # fmt: skip
    bench = Bench.of(options.model, config, options.judge)
    plain = bench.plain()
    names = [one.description for one in bench.judges]
    images = len(bench.samples.calibration)
    print(f"{options.model.name}: {images} images, {plain:.1f} CPU s through it; judged on "
          f"{' and '.join(names)}")  # fmt: skip
    print("| ratio | criterion | at objects |" + f" {HEAD} | relative error |" * len(names),
          "MACs left | cost |")  # fmt: skip
    print("|---" * (5 + 7 * len(names)) + "|")
    print("| | unpruned | |", _scores(bench.judge(bench.model.graph)),
          f"{bench.model.cost(bench.model.everything, None).macs / 1e6:.0f} M | |")  # fmt: skip
    for ratio in options.ratio or (0.6,):
        for criterion in options.criterion or ("repair",):
            for share in options.at_objects or (0.5,):
                formula = Criterion(criterion)
                # Factors are taken of all images; asking a choice by repair costs two more of it.
                own = replace(config, ratio=ratio, criterion=formula, at_objects=share,
                              certainty=None if formula.repairs else 1.0)  # fmt: skip
                start = cpu_seconds()
                cut = bench.cut(own)
                graph = bench.recovered(cut, own)
                cost = (cpu_seconds() - start) / plain
                macs = bench.model.cost(cut.chosen.selection.alive, None).macs
                print(f"| {ratio:g} | {criterion} | {share:g} |", _scores(bench.judge(graph)),
                      f"{macs / 1e6:.0f} M | {cost:.1f} |", flush=True)  # fmt: skip


def _scores(found: Sequence[Accuracy]) -> str:
    """Write the metrics of each set, and the largest relative error of any output."""
    cells = []
    for accuracy in found:
        scores = accuracy.after
        cells += [f"{getattr(scores, name):.4f}" if scores else "" for name in METRICS]
        errors = [one.relative_error for one in accuracy.agreement if one.relative_error]
        cells.append(f"{max(errors, default=0.0):.4f}")
    return " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
