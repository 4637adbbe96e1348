"""What fine-tuning adds to a model that is cut and recovered: the table of docs/recovery.md.

    python tools/experiments/finetune_table.py CUT.onnx ORIGINAL.onnx --train DIR --judge DIR
        --rate 5e-4 [--rate 1e-3 ...] [--no-masks]

A row a rate: seconds of CPU, what the held-out samples say before and after, how far on the way
from the start to the best epoch the weights lie that were taken, and what folders that nobody
trained on say of the start and of these.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from wrg_onnx.data.dataset import DataSet, from_directory
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.errors import WrgError
from wrg_onnx.evaluate.judge import Accuracy, judge
from wrg_onnx.finetune import Finetuned, FinetuneOptions, TrainingData
from wrg_onnx.finetune.finetune import finetune
from wrg_onnx.graph import Graph, load, open_session
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.input_shapes import concrete_shapes, preprocessing_for
from wrg_onnx.pipeline.samples import find_saliency
from wrg_onnx.rewrite import read_note


@dataclass(frozen=True)
class Bench:
    """What is trained, on what, and who judges.

    Attributes:
        student: The cut model.
        teacher: Its original.
        data: Training and held-out samples.
        judged: Folders that judge, by name.
    """

    student: Graph
    teacher: Graph
    data: TrainingData
    judged: dict[str, DataSet]

    @classmethod
    def of(
        cls, models: tuple[Path, Path], folders: tuple[Path, list[Path]], counts: tuple[int, int],
        *, masks: bool,
    ) -> Bench:  # fmt: skip
        """Open models and folders.

        Args:
            models: The cut one and its original.
            folders: What trains, and those that judge.
            counts: How many samples train at most, and how many are held out.
            masks: Whether masks are looked at in training.
        """
        student, teacher = (load(path) for path in models)
        shapes = concrete_shapes(student, DataOptions())
        preprocessing = preprocessing_for(student, shapes, DataOptions())
        whole = from_directory(folders[0], student.inputs, preprocessing)
        saliency = find_saliency(open_session(teacher), whole, preprocessing)
        order = np.random.default_rng(0).permutation(len(whole))
        held_out, training = order[: counts[1]], order[counts[1] :][: counts[0]]
        parts = [whole.take(part) for part in (training, held_out)]
        if not masks:
            parts = [replace(part, has_masks=False) for part in parts]
        return cls(
            student,
            teacher,
            TrainingData(parts[0], parts[1], saliency, preprocessing),
            {f.name: from_directory(f, student.inputs, preprocessing) for f in folders[1]},
        )

    @property
    def saliency(self) -> SaliencyMap | None:
        """How to read the saliency map."""
        return self.data.saliency

    def train(self, options: FinetuneOptions) -> tuple[Finetuned, float]:
        """Fine-tune; return what came of it, and the seconds of CPU."""
        start = time.process_time()
        kept = read_note(self.student)
        tuned = finetune(self.student, self.teacher, self.data, kept, options)
        return tuned, time.process_time() - start

    def accuracy(self, data: DataSet, tuned: Graph) -> Accuracy:
        """Hold a trained model, and as ``cut`` the one before, against the original."""
        teacher, start, end = (open_session(g) for g in (self.teacher, self.student, tuned))
        return judge(teacher, end, data, self.saliency, cut=start)


@click.command()
@click.argument("cut", type=click.Path(path_type=Path))
@click.argument("original", type=click.Path(path_type=Path))
@click.option("--train", type=click.Path(path_type=Path), required=True)
@click.option("--judge", "judges", type=click.Path(path_type=Path), multiple=True, required=True)
@click.option("--rate", "rates", type=float, multiple=True, required=True)
@click.option("--epochs", type=int, default=4, show_default=True)
@click.option("--samples", type=int, default=160, show_default=True)
@click.option("--held-out", type=int, default=48, show_default=True)
@click.option("--masks/--no-masks", default=True, show_default=True)
def main(cut: Path, original: Path, **chosen: Any) -> None:
    """Fine-tune CUT towards ORIGINAL at each rate, and print a row each."""
    folders = (chosen["train"], list(chosen["judges"]))
    counts = (chosen["samples"], chosen["held_out"])
    try:
        bench = Bench.of((cut, original), folders, counts, masks=chosen["masks"])
        print("| rate | CPU s | held-out loss | held-out max F | taken | judged: max F, error |")
        print("|---|---|---|---|---|---|")
        for rate in chosen["rates"]:
            tuned, seconds = bench.train(
                FinetuneOptions(epochs=chosen["epochs"], learning_rate=rate)
            )
            print(_row(bench, rate, seconds, tuned), flush=True)
    except WrgError as error:
        sys.exit(str(error))


def _row(bench: Bench, rate: float, seconds: float, tuned: Finetuned) -> str:
    first, last = tuned.history[0], tuned.chosen
    found = []
    for name, data in bench.judged.items():
        accuracy = bench.accuracy(data, tuned.graph)
        assert accuracy.cut is not None
        if accuracy.before is not None:
            found.append(f"{name} original {accuracy.before.max_f:.4f}")
        for title, scores, agreement in (
            ("start", accuracy.cut.scores, accuracy.cut.agreement),
            ("end", accuracy.after, accuracy.agreement),
        ):
            largest = "" if scores is None else f"{scores.max_f:.4f}, "
            found.append(f"{name} {title} {largest}{agreement[0].relative_error:.4f}")
    place = f"{last.share:.0%} of the way to epoch {tuned.best_epoch}" if last.share else "start"
    return (
        f"| {rate:g} | {seconds:.0f} | {first.held_out_loss:.4f} -> {last.held_out_loss:.4f} | "
        f"{_shown(first.held_out_max_f)} -> {_shown(last.held_out_max_f)} | {place} | "
        f"{'; '.join(found)} |"
    )


def _shown(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


if __name__ == "__main__":
    main()
