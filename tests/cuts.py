"""Small models that are cut where a test wants it, and data sets of arrays."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from strategies import analyse, build

from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.graph import Graph, open_session
from wrg_onnx.recover import Removal
from wrg_onnx.rewrite import KeptChannels, apply_plan, find_kept_channels, plan_slices


@dataclass(frozen=True)
class Cut:
    """A model before and after some channels were removed."""

    before: Graph
    pruned: Graph
    kept: dict[str, KeptChannels]
    slices: dict

    @property
    def removal(self):
        return Removal(self.before, self.pruned, self.slices, self.kept)


def cut(text, weights, gone, **options) -> Cut:
    """Remove positions: ``gone`` is by (constant, axis)."""
    found = analyse(build(text, weights, **options))
    alive = np.ones(found.units.count, bool)
    for (name, axis), positions in gone.items():
        alive[found.labels(name, axis)[positions]] = False
    plan = plan_slices(found.units, alive)
    kept = find_kept_channels(found.units, alive)
    return Cut(found.graph, apply_plan(found.graph, plan), kept, plan.kept)


def used_in(text: str, arrays: dict) -> dict:
    """Return the arrays that a graph's text names."""
    words = set(re.findall(r"\w+", text))
    return {name: array for name, array in arrays.items() if name in words}


def data_of(*feeds) -> DataSet:
    samples = [Sample(f"sample {n}", feed, None) for n, feed in enumerate(feeds)]
    readers = tuple(lambda sample=sample: sample for sample in samples)
    return DataSet(readers, "arrays", len(readers), has_masks=False)


def normal_data(shape, count, name="x", seed=0, dtype=np.float32) -> DataSet:
    rng = np.random.default_rng(seed)
    return data_of(*({name: rng.standard_normal(shape).astype(dtype)} for _ in range(count)))


def error(before: Graph, after: Graph, data: DataSet) -> float:
    """Return the largest relative Euclidean distance of any output over the samples."""
    sessions = open_session(before), open_session(after)
    worst = 0.0
    for sample in data:
        a, b = (session.run(sample.feeds) for session in sessions)
        for name in a:
            reference = a[name].astype(np.float64)
            gap = np.linalg.norm(reference - b[name]) / np.linalg.norm(reference)
            worst = max(worst, float(gap))
    return worst
