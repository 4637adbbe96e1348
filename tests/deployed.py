"""What tests of converted models share: samples for a small model, and how far answers differ."""

from __future__ import annotations

import numpy as np
from strategies import normal

from wrg_onnx.data.dataset import random_inputs
from wrg_onnx.data.preprocess import IMAGENET_MEAN, IMAGENET_STD
from wrg_onnx.graph import open_session
from wrg_onnx.tsod import generate

LAYERS = """net (float[1,3,16,16] x) => (float[1,8,16,16] y) {
    c = Conv<pads = [1,1,1,1]>(x, w1, b1)  a = Relu(c)  d = Conv<pads = [1,1,1,1]>(a, w2, b2)
    e = Conv(a, w3, b3)  y = Add(d, e) }"""

WEIGHTS = {
    "w1": normal(12, 3, 3, 3), "w2": normal(8, 12, 3, 3, seed=1), "w3": normal(8, 12, 1, 1),
    "b1": normal(12), "b2": normal(8), "b3": normal(8),
}  # fmt: skip


def samples_of(graph, count=4):
    shapes = {value.name: value.shape for value in graph.inputs}
    return random_inputs(graph, shapes, count, 0)


def worst_difference(before, after, data):
    """Return the largest difference of an output, relative to its largest value."""
    first, second = open_session(before), open_session(after)
    worst = 0.0
    for sample in data:
        old, new = first.run(sample.feeds), second.run(sample.feeds)
        worst = max(
            worst, *(np.abs(old[name] - new[name]).max() / np.abs(old[name]).max() for name in old)
        )
    return worst


def made_image(side, seed=2026):
    """Return a made image as the nets of models/ are fed it, (1, 3, side, side)."""
    image, _ = generate(np.random.default_rng(seed), side, side)
    pixels = (image / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
