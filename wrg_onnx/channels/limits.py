"""What the user wants left alone."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.units import Slot
from wrg_onnx.graph import Graph
from wrg_onnx.nearest import did_you_mean, most_like

_STARS = re.compile(r"[*?]+")
_BETWEEN = "./:"
_PARTS = re.compile(f"[{_BETWEEN}]+")
"""Between the parts of a name."""

KEPT = Why("is kept on request (--keep)", Kind.KEPT)
LEFT_OUT = Why("makes channels that are not among those to prune (--only)", Kind.NOT_ONLY)


@dataclass(frozen=True, slots=True)
class Limits:
    """Names of nodes and constants, or globs over them (``named_by``).

    Attributes:
        keep: What matches stays whole, on every axis.
        only: Where there are any, a layer whose weight or node matches none makes all its channels.
        through_norms: Whether channels may go that a normalisation takes its statistics over.
        head_dims: Whether attention loses dims inside its heads rather than whole heads.
    """

    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    head_dims: bool = False
    through_norms: bool = False


def named_by(pattern: str, names: Collection[str]) -> set[str]:
    """Find the names that a pattern of the user's stands for.

    Args:
        pattern: A name, or a glob where there is no such name: ``blocks[0].w`` is a name where a
            weight is called so, and as a glob it would be ``blocks0.w``.
        names: Those of all nodes and constants.
    """
    if pattern in names:
        return {pattern}
    return {name for name in names if fnmatch.fnmatchcase(name, pattern)}


def meant_by(pattern: str, names: Collection[str]) -> str:
    """Ask for the name that a pattern without a match may be meant for, or a pattern that has some.

    Of a pattern its letters are held against the parts of names: ``*haed*`` may be meant for
    ``*head*``.

    Args:
        pattern: What matches none of the names.
        names: Those of all nodes and constants.

    Returns:
        The question with a blank before it; empty where nothing is like it.
    """
    letters = [part for part in _STARS.split(pattern) if part]
    if letters == [pattern]:
        return did_you_mean(pattern, names)
    if len(letters) != 1:
        return ""
    (written,) = letters
    word = written.strip(_BETWEEN)
    found = most_like(word, {part for name in names for part in _PARTS.split(name) if part})
    if not word or found is None:
        return ""
    other = pattern.replace(word, found)
    return f" (did you mean '{other}'?)" if named_by(other, names) else ""


def names_of(graph: Graph) -> set[str]:
    """Return the names that limits may speak of; of a flat graph, as bodies have names, too."""
    return {*(node.name for node in graph.nodes), *graph.constants}


def apply_limits(graph: Graph, slots: Sequence[Slot], limits: Limits, ledger: Ledger) -> None:
    """Freeze what the limits name, or leave out."""
    if not (limits.keep or limits.only):
        return
    known = names_of(graph)
    keep, only = (
        frozenset().union(*(named_by(pattern, known) for pattern in patterns))
        for patterns in (limits.keep, limits.only)
    )
    readers = {name: [n.name for n in nodes] for name, nodes in graph.consumers.items()}
    makes = np.zeros(sum(slot.size for slot in slots), bool)
    for ids in ledger.filters:
        makes[ids[ids >= 0]] = True
    for slot in slots:
        names = (slot.name, *readers.get(slot.name, ()))
        ids = np.arange(slot.offset, slot.offset + slot.size)
        if not keep.isdisjoint(names):
            ledger.freeze(ids, f"'{slot.name}'", KEPT)
        elif limits.only and makes[slot.offset] and only.isdisjoint(names):
            ledger.freeze(ids, f"'{slot.name}'", LEFT_OUT)
