"""Ask the rule of a fused operator by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rule_calls import call

from wrg_onnx.channels.table import find_derivation, find_rule


def fused_call(op, inputs, shapes, *, domain="com.microsoft", version=1, **options):
    made = call(op, inputs, shapes, version=version, **options)
    return replace(made, node=replace(made.node, domain=domain))


def couple_fused(*args, **kwargs):
    made = fused_call(*args, **kwargs)
    return find_rule(made.node)(made)


def derived(gone, *args, **kwargs):
    made = fused_call(*args, **kwargs)
    outputs = find_rule(made.node)(made).outputs
    return dict(
        find_derivation(made.node)(made, outputs, lambda ids: ~np.isin(ids, gone)).attributes
    )


def held(coupling):
    """Join what several freezes hold for one reason."""
    held = {}
    for freeze in coupling.frozen:
        if freeze.reason:
            held.setdefault(freeze.reason, []).extend(freeze.ids.tolist())
    return {reason: sorted(ids) for reason, ids in held.items()}


def listed(arrays):
    return [a.tolist() for a in arrays]
