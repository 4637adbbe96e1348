"""Draw the pictures of the pages that explain, from runs on the demo's net.

    python tools/draw_pictures.py

No figure in them is typed by hand. It takes half a minute on a CPU and needs torch, for the
gradients of SEL.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import wrg_onnx
from pictures.factors import draw_factors
from pictures.frame import Picture
from pictures.idea import draw_idea
from pictures.proof import draw_proof
from pictures.recovery import draw_recovery
from pictures.units import draw_unit
from wrg_onnx.channels import Units, find_units
from wrg_onnx.graph import Graph, bind_sizes, infer_shapes, load, run_once
from wrg_onnx.rewrite import TOLERANCE, apply_plan, plan_slices, run_masked
from wrg_onnx.rewrite.reference import Reference

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images"
MODEL = ROOT / "models" / "tiny_unet.onnx"
LAYER = "down_half.1.0.weight"
"""The layer that is looked at: a Concat and an Add read its channels."""

RATIO = 0.6
SHIFT = 0.3
"""Of the units of a layer so many go in the picture of the proof, where any cut does."""


def unit() -> Picture:
    """Draw a unit of the net."""
    _, units = _analysed()
    return draw_unit(units, LAYER)


def factors() -> Picture:
    """Draw W, R and G of a layer, as a pruning by SEL measures them."""
    found = wrg_onnx.prune(
        MODEL, ratio=RATIO, criterion="sel", evaluate=False, details=True, cache=False
    ).report.details
    assert found is not None
    return draw_factors(next(layer for layer in found.layers if layer.name == LAYER))


def recovery() -> Picture:
    """Draw what a default pruning repairs."""
    found = wrg_onnx.prune(MODEL, ratio=RATIO, evaluate=False, cache=False).report.recovery
    assert found is not None
    return draw_recovery(found.fits)


def proof() -> Picture:
    """Draw what the proof compares, of a right cut and of one with an index that is off by one."""
    graph, units = _analysed()
    rng = np.random.default_rng(0)
    alive = np.ones(units.count, bool)
    for group in np.unique(units.group[units.removable]):
        members = np.flatnonzero((units.group == group) & units.removable)
        alive[rng.choice(members, int(SHIFT * len(members)), replace=False)] = False
    plan = plan_slices(units, alive)
    reference = run_masked(graph, plan, bind_sizes(graph.inputs))
    # One channel of the layer goes in the place of its neighbour: all shapes are the same.
    one = units.slot_units(units.slots_of[LAYER][0])[0]
    members = np.flatnonzero(units.group == units.group[one])
    gone = members[~alive[members]][0]
    other = alive.copy()
    other[gone], other[members[alive[members]][0]] = True, False
    right = _errors(reference, apply_plan(graph, plan))
    wrong = _errors(reference, apply_plan(graph, plan_slices(units, other)))
    return draw_proof(right, wrong, TOLERANCE)


PICTURES = {
    "idea": draw_idea,
    "unit": unit,
    "factors": factors,
    "proof": proof,
    "recovery": recovery,
}
"""By the name of the file, without its end."""


def _analysed() -> tuple[Graph, Units]:
    graph = load(MODEL)
    return graph, find_units(graph, infer_shapes(graph, bind_sizes(graph.inputs)))


def _errors(reference: Reference, pruned: Graph) -> Mapping[str, float]:
    """Return how far each compared tensor is off, relative to its largest value."""
    made = {name: node.index for node in reference.graph.nodes for name in node.outputs}
    names = sorted(reference.values, key=made.__getitem__)
    found = run_once(pruned, reference.feeds, names)
    return {
        name: float(np.abs(found[name] - kept).max() / np.abs(kept).max())
        for name, kept in ((name, reference.values[name]) for name in names)
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they go")
    parser.add_argument("--only", choices=PICTURES, action="append", help="these alone")
    options = parser.parse_args(argv)
    for name in options.only or PICTURES:
        path = options.folder / f"{name}.svg"
        path.write_text(PICTURES[name]().svg(), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
