"""Rounding steps between layers, which a proof can do without.

Where a network quantises floats, a difference of one rounding in the last digit may become a whole
step, and grow from layer to layer: what the last layers then show says little about the surgery.
"""

from __future__ import annotations

from wrg_onnx.channels import Units
from wrg_onnx.channels.axes import Call
from wrg_onnx.channels.rules.quantised import couple_dequantise, couple_quantise
from wrg_onnx.channels.table import find_rule


def rounding_steps(units: Units) -> dict[str, str]:
    """Find what QuantizeLinear rounds for DequantizeLinear to bring it back at once.

    A pair with one scale for the whole tensor treats every channel alike, so that nothing which
    pruning changes is left out with it.

    Args:
        units: The analysis of the model.

    Returns:
        By the name of the tensor behind such a pair, the tensor before it.
    """
    found: dict[str, str] = {}
    for analysed in units.nodes.values():
        call = analysed.call
        if units.flat.inside.intersection(call.node.outputs):
            continue
        maker = units.flat.graph.producers.get(call.node.input(0))
        if maker is None or find_rule(call.node) is not couple_dequantise:
            continue
        quantise = units.nodes[maker.index].call
        if find_rule(maker) is couple_quantise and _is_pair(quantise, call):
            before = quantise.operand(0).name
            found[call.node.outputs[0]] = found.get(before, before)
    return found


def _is_pair(quantise: Call, dequantise: Call) -> bool:
    """Tell whether two nodes round an activation and nothing else."""
    if quantise.operand(0).is_weight:
        return False
    for position in (1, 2):
        one, other = quantise.optional(position), dequantise.optional(position)
        if one is None or other is None:
            if one is not other:
                return False
            continue
        same = one.name == other.name
        if one.value is not None and other.value is not None:
            same = bool((one.value == other.value).all())
        if not same or max((*one.axes.shape, *other.axes.shape, 1)) > 1:
            return False
    return True
