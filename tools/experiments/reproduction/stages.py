"""The stages of the experiment: train, cut and recover, fine-tune, judge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.vgg16_sod import VGG16SOD
from reproduction.figures import QUANTITIES
from reproduction.origin import keep_origin, origin_of
from reproduction.results import (
    Cell,
    Result,
    Store,
    as_figures,
    commit,
    hardware,
    versions,
)
from reproduction.settings import Cut, Settings
from sod.folders import read_pools
from sod.judging import saliency_maps
from sod.nets import LOADED, build, load_backbone
from sod.pool import HELD_OUT, INPUT, TRAINING, Pool, make_pool
from sod.training import Checkpoints, Log, train
from wrg_onnx.evaluate.saliency import score_saliency
from wrg_onnx.export.options import ExportOptions
from wrg_onnx.export.write import export_module
from wrg_onnx.graph import Edit, Graph, edited, load
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.report.unfinished import check_finished
from wrg_onnx.tsod.pictures import write_png
from wrg_onnx.twin import build_twin

JUDGED = 2021
"""The seed of the made images that judge; no setting was chosen on them."""

VALIDATION_SHARE = 0.25
"""What ``prune`` sets aside of a folder; statistics come from the rest."""


class AsNet(nn.Module):
    """A graph as a net that turns images into saliency."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.twin = build_twin(graph)

    def forward(self, image: Tensor) -> Tensor:
        """Run the graph; (N, 3, H, W) -> (N, 1, H, W)."""
        saliency: Tensor = self.twin({INPUT: image})[self.twin.output_names[0]]
        return saliency


class Stopwatch:
    """Seconds by stage, and of computing, since it was started."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._cpu = time.process_time()

    @property
    def cpu_seconds(self) -> float:
        """What this process computed for, all threads together."""
        return round(time.process_time() - self._cpu, 3)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is inside."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


@lru_cache(maxsize=1)
def kept_pools(settings: Settings, folder: Path, seed: int) -> tuple[Pool, Pool]:
    """Return what is trained on, and what judges, the same as when the folder was begun.

    Raises:
        UsageError: If the images or the loaded weights are others than then.
    """
    training, judged = pools(settings, seed)
    keep_origin(folder, settings, seed, origin_of(settings, training, judged))
    return training, judged


def pools(settings: Settings, seed: int) -> tuple[Pool, Pool]:
    """Return what is trained on, and what judges; the latter is the same for all seeds.

    Raises:
        WrgError: If a folder cannot be used, or an image trains and judges.
    """
    if not settings.data:
        return (
            make_pool(settings.images, settings.size, seed=seed, stream=TRAINING),
            make_pool(settings.held_out, settings.size, seed=JUDGED, stream=HELD_OUT),
        )
    data, judge = ([Path(name) for name in names] for names in (settings.data, settings.judge))
    return read_pools(data, judge, settings.size, share=VALIDATION_SHARE, seed=0)


def base_path(folder: Path, seed: int) -> Path:
    """Return where the unpruned net of a seed is."""
    return folder / f"seed{seed}" / "base.onnx"


def make_base(settings: Settings, folder: Path, seed: int, device: torch.device, log: Log) -> None:
    """Train the unpruned net of a seed, write it, and the images that statistics come from."""
    path = base_path(folder, seed)
    training, _ = kept_pools(settings, folder, seed)
    write_pairs(training, settings.samples, path.with_name("calibration"))
    net = build(settings.net, seed)
    recipe = replace(settings.training, seed=seed)
    if settings.weights:
        assert isinstance(net, VGG16SOD)
        load_backbone(net, Path(settings.weights))
        recipe = replace(recipe, backbone=LOADED)
    kept = Checkpoints(path.with_name("base.safetensors"))
    train(net, training, recipe, device=device, checkpoints=kept, log=log)
    shape = (1, 3, settings.size, settings.size)
    export_module(net, path, ExportOptions((shape,), fold=settings.fold), force=True)


def write_pairs(pool: Pool, samples: int, folder: Path) -> None:
    """Write as many images with their masks as ``prune`` needs to look at ``samples``."""
    count = min(len(pool), -(-samples * 4 // 3))
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(0).permutation(len(pool))[:count]
    for number, index in enumerate(np.sort(chosen)):
        image = pool.images[index].permute(1, 2, 0).contiguous().numpy()
        mask = pool.masks[index, 0].numpy().astype(np.uint8) * 255
        for kind, pixels in (("images", image), ("masks", mask)):
            write_png(pixels, folder / kind / f"{number:04}.png")


def run_cell(settings: Settings, store: Store, cell: Cell, device: torch.device) -> None:
    """Cut a net and recover it; judge it, fine-tune it for each number of steps, judge it again.

    Each tuning starts from the recovered net. The control is tuned and judged like all others.
    Every result is put into the store as soon as it is there.
    """
    training, held_out = kept_pools(settings, store.folder, cell.seed)
    base, watch = base_path(store.folder, cell.seed), Stopwatch()
    removed, graph = dict.fromkeys((kind.value for kind in QUANTITIES), 0.0), load(base)
    if cell.cut is not None:
        with watch.stage("prune"):
            removed, graph = prune_by(settings, base, cell.seed, cell.cut)
    for steps in cell.steps:
        tuned = graph
        if steps:
            with watch.stage("tune"):
                tuned = tune(graph, training, settings, (steps, cell.seed), device)
        with watch.stage("judge"):
            scores = judge(tuned, held_out)
        result = Result(
            cell.seed,
            *cell.key,
            steps=steps,
            removed=removed,
            scores=scores,
            seconds=watch.seconds,
            cpu_seconds=watch.cpu_seconds,
            hardware=hardware(device),
            commit=commit(),
            versions=versions(),
        )
        store.put(cell, result)
        watch = Stopwatch()


def prune_by(settings: Settings, base: Path, seed: int, cut: Cut) -> tuple[dict[str, float], Graph]:
    """Prune the net as ``wrg-onnx prune`` does; return what is gone, by budget, and the result."""
    output = base.with_name(f"{cut.name}.onnx")
    config = PruneConfig(
        cut.ratio,
        budget=cut.budget,
        criterion=cut.row.criterion,
        data=DataOptions(base.with_name("calibration"), settings.samples),
        evaluate=False,
        seed=seed,
        recover=settings.recover,
        # All criteria look at all images: none is to be judged by an early end.
        certainty=1.0,
        cache=base.with_name("statistics"),
    )
    report = prune(base, output, config, force=True).report
    check_finished(report)
    graph = load(output)
    output.unlink()
    before, after = report.before, report.after
    return {
        BudgetKind.PARAMS.value: 1 - after.parameters / before.parameters,
        BudgetKind.MACS.value: 1 - after.macs / before.macs,
    }, graph


def tune(
    graph: Graph, pool: Pool, settings: Settings, how: tuple[int, int], device: torch.device
) -> Graph:
    """Train a graph's weights on what the unpruned net was trained on, by the same loss.

    Args:
        graph: The start; it stays.
        pool: The images.
        settings: The recipe.
        how: The steps, and the seed of the batches.
        device: Where.
    """
    net, (steps, seed) = AsNet(graph), how
    train(net, pool, replace(settings.tuning, steps=steps, seed=seed), device=device)
    return edited(graph, Edit(constants=net.twin.trained_constants()))


def judge(graph: Graph, pool: Pool) -> dict[str, float]:
    """Score what ONNX Runtime makes of a graph on held-out images."""
    return as_figures(score_saliency(saliency_maps(graph, pool)))
