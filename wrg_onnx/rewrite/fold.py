"""What depends on no input is computed once, before anything is analysed.

Exporters leave arithmetic on weights in the graph: spectral and weight normalisation, standardised
weights, sizes made of other constants. ONNX Runtime computes it when it opens a model; here it
becomes constants of the graph, so that a computed weight is cut like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from wrg_onnx.channels import traits_of
from wrg_onnx.graph import (
    ConstantPart,
    Graph,
    Node,
    evaluate,
    find_constant_part,
    flatten,
    is_float,
    lay_flat,
    stored_bytes,
    with_constants,
)
from wrg_onnx.rewrite.fixed_conditions import fix_conditions

KNOWN_DOMAINS = ("", "com.microsoft")
"""The domains of the operators that ONNX Runtime computes by itself."""

SMALL_BYTES = 4 << 10
"""A tensor of this size is worth its bytes, whatever it was computed from."""

GROWN_BYTES = 4 << 20
"""Larger ones that are made of next to nothing, such as filled or numbered tensors, may together
have as many bytes, or a quarter of the file. Made of weights they may have as many as these."""

MOST_BYTES = 1 << 30
"""No tensor on the way, nor all results together, may have more."""


def fold(graph: Graph) -> Graph:
    """Compute what depends on no input, and lay branches flat that are always taken.

    A weight whose elements are merely moved, or rescaled from fewer bits, stays as it is: the file
    is smaller that way. So does what would be much larger than what it is made of, what is drawn at
    random, and what ONNX Runtime cannot compute by itself.

    Args:
        graph: The model, which stays as it is.

    Returns:
        The same function with fewer nodes; the graph itself where there is nothing to do. The names
        of inputs, outputs and of the tensors that are left are as before.
    """
    folded = graph
    while (found := lay_flat(fix_conditions(_computed(folded)))) is not folded:
        folded = found
    if folded is graph:
        return graph
    # Those in bodies count, too.
    before, after = (len(flatten(each).graph.nodes) for each in (graph, folded))
    return replace(folded, folded=graph.folded + before - after)


def _computed(graph: Graph) -> Graph:
    """Compute what can be computed at the sizes that are known so far."""
    part = find_constant_part(graph, is_computable)
    if part is None:
        return graph
    wanted = _Choice(part, stored_bytes(graph)).wanted()
    values = evaluate(graph, part, wanted) if wanted else {}
    return with_constants(graph, part, values)


class _Choice:
    """Decides which of the tensors that depend on no input become constants."""

    def __init__(self, part: ConstantPart, file_bytes: int) -> None:
        self._part = part
        self._file_bytes = file_bytes
        # By tensor: whether it is a weight that was merely moved, whether all sizes on the way to
        # it are known and bounded, and the constants that it is made of.
        forms = part.constants
        self._moved = {
            n
            for n, f in forms.items()
            if f.size > 1 and (is_float(f.dtype) or f.dtype.itemsize == 1)
        }
        self._fits = set(forms)
        self._roots = {name: frozenset((name,)) for name in forms}
        for node in part.nodes:
            self._follow(node)

    def _follow(self, node: Node) -> None:
        made = [name for name in node.outputs if name]
        read = [name for name in node.inputs if name]
        is_stored = traits_of(node).requantises and node.inputs[0] in self._part.constants
        if is_stored or (_moves(node) and self._moved.issuperset(_moved_by(node))):
            self._moved.update(made)
        forms = [self._part.forms[name] for name in made]
        if self._fits.issuperset(read) and all(f and f.nbytes <= MOST_BYTES for f in forms):
            self._fits.update(made)
        roots = frozenset[str]().union(*(self._roots[name] for name in read))
        self._roots.update(dict.fromkeys(made, roots))

    def wanted(self) -> Sequence[str]:
        """Return the tensors to compute, in the order of the graph."""
        asked = self._asked()
        chosen = [n for n in self._part.makers if n in asked & self._fits and not self._spreads(n)]
        made = [name for name in chosen if self._is_made_of_little(name)]
        if sum(map(self._bytes, made)) > max(GROWN_BYTES, self._file_bytes // 4):
            chosen = [name for name in chosen if name not in made]
        return chosen if sum(map(self._bytes, chosen)) <= MOST_BYTES else ()

    def _asked(self) -> set[str]:
        """Return what others read than nodes that are computed themselves."""
        asked = set(self._part.read)
        for node in self._part.nodes:
            if not self._fits.issuperset(name for name in node.outputs if name):
                asked.update(node.inputs)
            elif not self._moved.isdisjoint(node.outputs):
                # The weight stays; where its elements go is computed.
                asked.update(node.inputs)
        return asked - self._moved

    def _bytes(self, name: str) -> int:
        form = self._part.forms[name]
        return 0 if form is None else form.nbytes

    def _made_of(self, name: str) -> int:
        """Return the bytes of the constants that a tensor is made of."""
        return sum(self._part.constants[root].nbytes for root in self._roots[name])

    def _is_made_of_little(self, name: str) -> bool:
        return self._bytes(name) > SMALL_BYTES >= self._made_of(name)

    def _spreads(self, name: str) -> bool:
        """Tell whether a tensor repeats a weight: a table of positions, say, or unpacked bits."""
        made_of = self._made_of(name)
        return made_of > SMALL_BYTES and self._bytes(name) > made_of


def is_computable(node: Node) -> bool:
    """Tell whether a node makes the same of the same inputs whenever it runs."""
    traits = traits_of(node)
    if traits.draws_random or traits.runs_bodies:
        return False
    # A Constant that is still a node makes what there is no record of, such as texts. What an
    # operator of an unknown domain does nobody knows: it may look at the clock.
    return node.domain in KNOWN_DOMAINS and node.op != "Constant"


def _moves(node: Node) -> bool:
    """Tell whether a node moves elements about, or writes them with more or fewer bits."""
    traits = traits_of(node)
    return traits.moves_elements or traits.keeps_numbers or traits.requantises


def _moved_by(node: Node) -> Iterable[str]:
    """Return the operands whose elements a node moves; the others say where to."""
    return node.inputs if node.op == "Concat" else node.inputs[:1]
