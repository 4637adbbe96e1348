"""Hold the answer of `prune --max-drop` against images that it never saw.

    python tools/bench/bench_max_drop.py [--model FILE] [--data FOLDER] [--max-drop 0.01]
        [--unseen 0.5] [--samples 32] [--metric NAME] [--criterion repair] [--seeds 0,1,2]

The images of the folder are divided by each seed. One part is all that the search may look at; the
original and the answer are then judged on the other. The answer holds there if the metric falls by
no more than was allowed and how far the report's own figure may be off, by its interval.

Without the model or the folder it says so, and measures nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import wrg_onnx
from wrg_onnx.data.dataset import from_directory, split
from wrg_onnx.evaluate.bootstrap import Change, measure_change
from wrg_onnx.evaluate.judge import judge_images
from wrg_onnx.evaluate.metrics import find_metric
from wrg_onnx.evaluate.reference import Reference
from wrg_onnx.graph import from_message, open_session
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.input_shapes import preprocessing_for
from wrg_onnx.pipeline.samples import find_saliency
from wrg_onnx.report.records import PruneReport
from wrg_onnx.report.search import SearchReport, spoken_change

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
MODEL = SHARED / "models" / "csnet_L_x2_224.onnx"
DATA = SHARED / "saliency" / "SOD300"


@dataclass(frozen=True, slots=True)
class Trial:
    """One search, and what its answer is worth elsewhere.

    Attributes:
        report: Of the pruning.
        unseen: How the metric changed on the images that nobody looked at.
        cpu_seconds: What the search and all that belongs to it took.
    """

    report: PruneReport
    unseen: Change
    cpu_seconds: float

    @property
    def search(self) -> SearchReport:
        """How the answer was found."""
        assert self.report.search is not None
        return self.report.search

    @property
    def allowed(self) -> float:
        """What was asked for, and from the report's figure to the bad end of its interval."""
        told = self.search.answer.change
        unsure = 0.0 if told is None or told.worst is None else told.worst - told.drop
        return self.search.most + unsure

    @property
    def holds(self) -> bool:
        """Whether it fell by no more."""
        return self.unseen.drop <= self.allowed


def divide(folder: Path, into: Path, share: float, seed: int) -> tuple[Path, Path]:
    """Link the images of a folder, and their masks, into two others.

    Args:
        folder: With ``images/`` and ``masks/``, or with images.
        into: Where the two are made.
        share: How many of the images go into the second one, in (0, 1).
        seed: Draws them.

    Returns:
        The folder to search on, and the one to judge on.
    """
    has_parts = (folder / "images").is_dir()
    kinds = (
        [kind for kind in ("images", "masks") if (folder / kind).is_dir()] if has_parts else [""]
    )
    listed = {kind: sorted(path for path in (folder / kind).iterdir() if path.is_file())
              for kind in kinds}  # fmt: skip
    stems = sorted({path.stem for path in listed[kinds[0]]})
    parts = split(len(stems), share, seed)
    places = into / "seen", into / "unseen"
    for place, indices in zip(places, parts, strict=True):
        chosen = {stems[index] for index in indices}
        for kind in kinds:
            target = place / (kind or "images")
            target.mkdir(parents=True)
            for path in listed[kind]:
                if path.stem in chosen:
                    (target / path.name).symlink_to(path.resolve())
    return places


def judge_unseen(model: Path, result: wrg_onnx.ModelResult[PruneReport], folder: Path) -> Change:
    """Judge the original and the answer on a folder."""
    search = result.report.search
    assert search is not None
    options = DataOptions(folder)
    original = analyse(model, options)
    preprocessing = preprocessing_for(original.graph, original.input_shapes, options)
    data = from_directory(folder, original.graph.inputs, preprocessing)
    session = open_session(original.graph)
    reference = Reference(session, data, find_saliency(session, data, preprocessing))
    found = judge_images(reference, open_session(from_message(result.model)))
    return measure_change(found.per_image, find_metric(search.metric), np.random.default_rng(0))


def measure(model: Path, data: Path, options: argparse.Namespace, seed: int) -> Trial:
    """Search on one part of a folder, and judge the answer on the other."""
    with tempfile.TemporaryDirectory() as folder:
        seen, unseen = divide(data, Path(folder), options.unseen, seed)
        start = time.process_time()
        result = wrg_onnx.prune(
            model, max_drop=options.max_drop, metric=options.metric, data=seen,
            samples=options.samples, criterion=options.criterion, cache=False, seed=seed,
        )  # fmt: skip
        cpu_seconds = time.process_time() - start
        return Trial(result.report, judge_unseen(model, result, unseen), cpu_seconds)


def lines(seed: int, trial: Trial) -> Sequence[str]:
    """Say what was found and whether it holds."""
    search, answer = trial.search, trial.search.answer
    told = "not judged" if answer.change is None else spoken_change(answer.change)
    verdict = "holds" if trial.holds else "does not hold"
    tried = f"{len(search.probes)} probes, {len(search.checks)} checks"
    found = f"{answer.reached:.1%} of the {trial.report.budget}"
    drop = f"a drop of {trial.unseen.drop:.4f}"
    return (
        f"seed {seed}: {found}; {tried}, {trial.cpu_seconds:.0f} CPU seconds",
        f"  the report: {told}",
        f"  elsewhere:  {spoken_change(trial.unseen)}",
        f"  {verdict}: {drop}; {search.most:g} and the interval are {trial.allowed:.4f}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--max-drop", type=float, default=0.01)
    parser.add_argument("--metric")
    parser.add_argument("--unseen", type=float, default=0.5, help="share that nobody looks at")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--criterion", default="repair")
    parser.add_argument("--seeds", default="0", help="numbers with commas between")
    options = parser.parse_args()
    for path in (options.model, options.data):
        if not path.exists():
            print(f"skipped: there is no '{path}'", file=sys.stderr)
            return
    held = []
    for seed in map(int, options.seeds.split(",")):
        try:
            trial = measure(options.model, options.data, options, seed)
        except wrg_onnx.BudgetError as error:
            print(f"seed {seed}: {error}", flush=True)
            continue
        held.append(trial.holds)
        print("\n".join(lines(seed, trial)), flush=True)
    print(f"{sum(held)} of {len(held)} answers hold on images that nobody looked at")


if __name__ == "__main__":
    main()
