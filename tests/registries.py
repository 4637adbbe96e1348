"""Registries that a test may add to, and that are as before behind it."""

from __future__ import annotations

import copy
import sys

from wrg_onnx.calibrate import registry
from wrg_onnx.channels import table, traits
from wrg_onnx.data import sources
from wrg_onnx.extensions import load, operators
from wrg_onnx.finetune import named_losses
from wrg_onnx.select import criteria


def own_copies(monkeypatch):
    """Let what a test registers be forgotten behind it."""
    for module, names in {
        registry: ("_OF_WEIGHTS", "_OF_MAPS"),
        criteria: ("_REGISTERED",),
        sources: ("_SOURCES",),
        named_losses: ("_LOSSES",),
        operators: ("_OWNERS",),
        traits: ("_TRAITS",),
        load: ("_FAILED", "_ALL_LOADED", "_BROKEN"),
    }.items():
        for name in names:
            monkeypatch.setattr(module, name, copy.copy(getattr(module, name)))
    load._ALL_LOADED.clear()
    if twin := sys.modules.get("wrg_onnx.twin.table"):  # which needs torch
        copied = {key: dict(versions) for key, versions in twin._TABLE.items()}
        monkeypatch.setattr(twin, "_TABLE", copied)
    for name in ("_RULES", "_DERIVATIONS"):
        known = getattr(table, name)
        entries = {key: dict(versions) for key, versions in known.entries.items()}
        monkeypatch.setattr(table, name, table._Table(known.what, known.answer, entries))
