"""Registries that a test may add to, and that are as before behind it."""

from __future__ import annotations

from wrg_onnx.calibrate import registry
from wrg_onnx.select import criteria


def own_copies(monkeypatch):
    """Let what a test registers be forgotten behind it."""
    for table in ("_OF_WEIGHTS", "_OF_MAPS"):
        monkeypatch.setattr(registry, table, dict(getattr(registry, table)))
    monkeypatch.setattr(criteria, "_REGISTERED", list(criteria._REGISTERED))
