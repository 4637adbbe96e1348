"""The committed model, and runs that are short."""

from __future__ import annotations

from pathlib import Path

import pytest

from wrg_onnx.pipeline import samples

TINY_UNET = Path(__file__).parents[2] / "models" / "tiny_unet.onnx"


@pytest.fixture(scope="session")
def tiny_unet() -> Path:
    if not TINY_UNET.exists():
        pytest.skip("models/tiny_unet.onnx is not there")
    return TINY_UNET


@pytest.fixture
def few_samples(monkeypatch) -> None:
    """Judge on two generated images instead of all."""
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 2)
