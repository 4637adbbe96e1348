"""The SHA-256 of a model's files, beside what else is done with it."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from strategies import build, normal

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import begin_digests, file_digests, from_message, load
from wrg_onnx.graph.weights import BLOCK_BYTES

BODY = "net (float[1,40] x) => (float[1,50] y) { y = MatMul(x, w) }"


@pytest.fixture
def large(tmp_path):
    """A model whose weights, beside it, take several blocks."""
    rows = 2 * BLOCK_BYTES // (4 * 1000) + 7
    model = build(
        f"net (float[1,{rows}] x) => (float[1,1000] y) {{ y = MatMul(x, w) }}",
        {"w": np.ones((rows, 1000), np.float32)},
    )
    path = tmp_path / "large.onnx"
    onnx.save(model, path, save_as_external_data=True, location="large.data", size_threshold=0)
    return path


def wanted(*paths):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_every_file_has_its_own_by_path(large, tmp_path):
    small = tmp_path / "small.onnx"
    onnx.save(build(BODY, {"w": normal(40, 50)}), small)
    both = file_digests(load(small), load(large))
    assert both == wanted(small, large, large.with_name("large.data"))


def test_they_are_the_same_beside_other_work(large):
    graph = load(large)
    assert begin_digests(graph)() == file_digests(graph)


def test_a_model_in_memory_has_none():
    graph = from_message(build(BODY, {"w": normal(40, 50)}))
    assert begin_digests(graph)() == file_digests(graph) == {}


@pytest.mark.parametrize("name", ["large.onnx", "large.data"])
def test_a_file_that_has_changed_is_told_where_they_are_asked_for(large, name):
    graph = load(large)
    os.utime(large.with_name(name), ns=(1, 1))
    asked = begin_digests(graph)
    with pytest.raises(ModelError, match=f"{name}': has changed while it was read"):
        asked()
