"""Models that are converted."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployed import LAYERS, WEIGHTS
from strategies import build

from wrg_onnx.graph import from_message

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def net():
    """Three convolutions, of which one is added to another."""
    return from_message(build(LAYERS, WEIGHTS))


@pytest.fixture(scope="session")
def tiny_unet() -> Path:
    return MODELS / "tiny_unet.onnx"
