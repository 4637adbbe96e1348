"""What the user wants left alone."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.units import Slot
from wrg_onnx.graph import Graph

KEPT = Why("is kept on request (--keep)", Kind.KEPT)
LEFT_OUT = Why("makes channels that are not among those to prune (--only)", Kind.NOT_ONLY)


@dataclass(frozen=True, slots=True)
class Limits:
    """Globs over the names of nodes and constants.

    Attributes:
        keep: What matches stays whole, on every axis.
        only: Where there are any, a layer whose weight or node matches none makes all its channels.
        head_dims: Whether attention loses dims inside its heads rather than whole heads.
    """

    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    head_dims: bool = False


def apply_limits(graph: Graph, slots: Sequence[Slot], limits: Limits, ledger: Ledger) -> None:
    """Freeze what the limits name, or leave out."""
    if not (limits.keep or limits.only):
        return
    readers = {name: [n.name for n in nodes] for name, nodes in graph.consumers.items()}
    makes = np.zeros(sum(slot.size for slot in slots), bool)
    for ids in ledger.filters:
        makes[ids[ids >= 0]] = True
    for slot in slots:
        names = (slot.name, *readers.get(slot.name, ()))
        ids = np.arange(slot.offset, slot.offset + slot.size)
        if _matches(names, limits.keep):
            ledger.freeze(ids, f"'{slot.name}'", KEPT)
        elif limits.only and makes[slot.offset] and not _matches(names, limits.only):
            ledger.freeze(ids, f"'{slot.name}'", LEFT_OUT)


def _matches(names: Sequence[str], globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in globs)
