"""The proof of a cut in sentences: how exact it is, and what it says nothing of."""

from __future__ import annotations

from collections.abc import Sequence

from wrg_onnx.report.budget import QUANTITY_WORDS
from wrg_onnx.report.records import PruneReport
from wrg_onnx.rewrite import Equivalence

MOST_NAMED = 3
"""How many nodes are named; JSON has all."""


def proof_text(report: PruneReport) -> str:
    """Say what was proven of a pruning."""
    found, quantity = report.equivalence, QUANTITY_WORDS[report.budget]
    gone = f"{report.reached:.1%} of the {quantity} are gone"
    if not found.tensors:
        return (
            f"Proof: there is nothing to prove. {gone}, and both models run, but nothing that the "
            f"original makes varies, whatever it is fed ({1 + found.tried} inputs were tried): are "
            "its weights those of a trained model?"
        )
    sizes = f" at {found.sizes} input sizes" if found.sizes > 1 else ""
    sizes += f", run in {found.parts} parts" if found.parts > 1 else ""
    bound = f"tolerance {found.tolerance:.0e}"
    if found.rounding is not None:
        bound = f"rounding alone reaches {found.rounding:.1e} there"
    return (
        f"Proof: {gone} and the model computes what the masked original does{_how(found)}: error "
        f"{found.error:.1e} in {found.tensors} tensors{sizes}{_alone(found)} ({bound})."
        f"{_of_quiet(found)}"
    )


def listed(names: Sequence[str]) -> str:
    """Name nodes, the first few of many."""
    more = len(names) - MOST_NAMED
    rest = f" and {more} more" if more > 0 else ""
    return ", ".join(names[:MOST_NAMED]) + rest


def _how(found: Equivalence) -> str:
    """Say in what both models are other than their files."""
    how = ""
    if found.norms:
        norms = "1 normalisation" if found.norms == 1 else f"{found.norms} normalisations"
        how = (
            f", both with {norms} over the channels that are left (that alone moves the outputs by "
            f"{found.moved:.1%})"
        )
    if found.widened:
        how += ", both run in float32, since ONNX Runtime does not run their bfloat16"
    return how


def _alone(found: Equivalence) -> str:
    """Say how much of what changed was compared by itself."""
    if not found.alone:
        return ""
    if found.alone < found.changed:
        return f", {found.alone} of {found.changed} changed nodes by themselves too"
    which = "the changed node" if found.changed == 1 else f"each of {found.changed} changed nodes"
    return f", {which} by itself too"


def _of_quiet(found: Equivalence) -> str:
    """Say which nodes a run of the whole model does not exercise, and what shows them right."""
    said, inputs = "", "1 input" if not found.tried else f"{1 + found.tried} inputs"
    right = [name for name in found.quiet if name not in found.unexercised]
    if right:
        reads = "reads" if len(right) == 1 else "read"
        said = f" Not exercised by {inputs}: {listed(right)}, which {reads} nothing that varies."
    if found.unexercised:
        one = len(found.unexercised) == 1
        said += (
            f" Nothing shows that {listed(found.unexercised)} {'is' if one else 'are'} right: "
            f"{'it reads' if one else 'they read'} channels that do not vary on {inputs}, and "
            f"{'is' if one else 'are'} not compared by {'itself' if one else 'themselves'}."
        )
    return said
