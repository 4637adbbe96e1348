"""Small saliency models, images, and a short way to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from strategies import build

from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.data.preprocess import Preprocessing
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.finetune import FinetuneOptions, TrainingData
from wrg_onnx.graph import from_proto
from wrg_onnx.rewrite import KeptChannels

pytest.importorskip("torch")

SIDE = 16

NET = """net (float[{batch},3,16,16] image) => (float[{batch},1,16,16] map) {{
  c = Conv<pads=[1,1,1,1]>(image, w1, b1)  a = Relu(c)
  z = Conv<pads=[1,1,1,1]>(a, w2, b2)  map = Sigmoid(z) }}"""

WIDTH = 6
KEPT = (0, 2, 3, 5)


def weights(positions=range(WIDTH)):
    """Return the weights of a net with these of its inner channels."""
    rng = np.random.default_rng(0)
    chosen = list(positions)
    w1 = rng.standard_normal((WIDTH, 3, 3, 3)).astype(np.float32) / 3
    w2 = rng.standard_normal((1, WIDTH, 3, 3)).astype(np.float32) / 3
    b1 = np.linspace(-0.5, 0.5, WIDTH, dtype=np.float32)
    return {"w1": w1[chosen], "b1": b1[chosen], "w2": w2[:, chosen], "b2": np.zeros(1, np.float32)}


def net(positions=range(WIDTH), *, batch="N", name="m", text=(), **replaced):
    """Return a net; ``text`` are pairs of what to write in place of what."""
    body = NET.format(batch=batch)
    for old, new in text:
        assert old in body
        body = body.replace(old, new)
    return from_proto(build(body, {**weights(positions), **replaced}), name=name)


def sample(index, *, has_mask=True):
    """Return a bright square on noise, and its mask."""
    rng = np.random.default_rng(index)
    x, y = rng.integers(2, 9, 2)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + 5, x : x + 5] = True
    image = rng.standard_normal((1, 3, SIDE, SIDE)).astype(np.float32) * 0.3 + 2 * mask
    return Sample(f"{index}.png", {"image": image.astype(np.float32)}, mask if has_mask else None)


def data_set(indices, *, has_masks=True):
    readers = tuple(partial(sample, index, has_mask=has_masks) for index in indices)
    return DataSet(readers, "images", len(readers), has_masks)


SALIENCY = SaliencyMap("map", axis=1, channels=1, is_logit=False)
IMAGE = Preprocessing(
    "image", SIDE, SIDE, 3, "NCHW", np.dtype(np.float32), 1 / 255, (0.4,) * 3, (0.2,) * 3, "rgb"
)


def training_data(*, masks=True, saliency=SALIENCY, image=IMAGE):
    return TrainingData(
        data_set(range(8), has_masks=masks),
        data_set(range(8, 11), has_masks=masks),
        saliency,
        image,
    )


@dataclass(frozen=True)
class Kit:
    """What tests of training need."""

    net: Callable[..., object] = net
    sample: Callable[..., object] = sample
    data_set: Callable[..., object] = data_set
    data: Callable[..., object] = training_data
    kept: tuple[int, ...] = KEPT

    def student(self, **replaced):
        return net(KEPT, name="student", **replaced)

    def channels(self):
        return {"c": KeptChannels(1, np.array(KEPT), WIDTH)}

    def options(self, **chosen):
        defaults = {"epochs": 3, "batch": 4, "learning_rate": 0.05}
        return FinetuneOptions(**{**defaults, **chosen})


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Let torch compute in one thread: the nets are tiny, and threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def kit():
    return Kit()
