"""The committed model, as a file and in memory, and runs that are short."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from wrg_onnx.pipeline import samples

TINY_UNET = Path(__file__).parents[2] / "models" / "tiny_unet.onnx"


@pytest.fixture(scope="session")
def tiny_unet() -> Path:
    return TINY_UNET


@pytest.fixture
def message(tiny_unet) -> onnx.ModelProto:
    return onnx.load(tiny_unet)


@pytest.fixture
def few_samples(monkeypatch) -> None:
    """Judge on two generated images instead of all."""
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 2)
