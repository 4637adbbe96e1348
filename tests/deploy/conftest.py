"""Models that are converted."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployed import LAYERS, WEIGHTS
from strategies import build

import wrg_onnx
from wrg_onnx.graph import from_message

TINY_UNET = Path(__file__).parents[2] / "models" / "tiny_unet.onnx"


@pytest.fixture
def net():
    """Three convolutions, of which one is added to another."""
    return from_message(build(LAYERS, WEIGHTS))


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> dict[str, Path]:
    """The committed net with half of its parameters, recovered, by the numbers of its file."""
    folder = tmp_path_factory.mktemp("written")
    ways = {"float32": {}, "float16": {"half": True}, "int8": {"int8": True}}
    found = {}
    for name, how in ways.items():
        found[name] = folder / f"{name}.onnx"
        wrg_onnx.prune(TINY_UNET, found[name], ratio=0.5, samples=8, evaluate=False, **how)
    return found
