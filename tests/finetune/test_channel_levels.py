"""After the correction each Conv's channels have the mean and deviation of the teacher's."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

torch = pytest.importorskip("torch")

from wrg_onnx.finetune.channel_levels import correct_levels  # noqa: E402
from wrg_onnx.graph import from_proto  # noqa: E402
from wrg_onnx.rewrite import KeptChannels  # noqa: E402
from wrg_onnx.twin import build_twin  # noqa: E402
from wrg_onnx.twin.batches import Batch  # noqa: E402

TEXT = """net (float[N,3,8,8] x) => (float[N,c,8,8] y) {
  a = Conv<pads=[1,1,1,1]>(x, w1, b1)  r = Relu(a)
  b = Conv<pads=[1,1,1,1]>(r, w2, b2)  s = Relu(b)
  y = Conv<pads=[1,1,1,1]>(s, w3) }"""
FIRST, SECOND = [0, 2, 5], [1, 3]


def graph(first=range(6), second=range(4)):
    first, second = list(first), list(second)
    weights = {
        "w1": normal(6, 3, 3, 3)[first], "b1": normal(6)[first],
        "w2": normal(4, 6, 3, 3)[second][:, first], "b2": normal(4)[second],
        "w3": normal(2, 4, 3, 3)[:, second],
    }  # fmt: skip
    return from_proto(build(TEXT, weights), name="m")


@pytest.fixture
def corrected():
    student = graph(FIRST, SECOND)
    kept = {
        "a": KeptChannels(1, np.array(FIRST), 6),
        "b": KeptChannels(1, np.array(SECOND), 4),
        "y": KeptChannels(1, np.arange(2), 2),
    }
    twins = build_twin(student), build_twin(graph(), trainable=False)
    batch = Batch({"x": torch.tensor(normal(8, 3, 8, 8))}, None, 8)
    before = twins[0](batch.feeds, ("b",))["b"].detach()
    count = correct_levels(student, *twins, kept, batch)
    return twins, batch, before, count


def levels(value, channels=slice(None)):
    return value.mean((0, 2, 3))[channels], value.std((0, 2, 3), correction=0)[channels]


def test_each_channel_has_the_level_of_the_teachers(corrected):
    (student, teacher), batch, before, _ = corrected
    found, wanted = (twin(batch.feeds, ("a", "b")) for twin in (student, teacher))
    for name, channels in (("a", FIRST), ("b", SECOND)):
        for own, theirs in zip(levels(found[name]), levels(wanted[name], channels), strict=True):
            torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-4)
    assert (levels(before)[1] - levels(wanted["b"], SECOND)[1]).abs().max() > 0.1


def test_a_conv_without_a_bias_stays_and_is_not_counted(corrected):
    (student, _), _, _, count = corrected
    assert count == 2
    np.testing.assert_array_equal(
        student.parameters_by_name()["w3"].detach(), graph(FIRST, SECOND).constants["w3"]
    )


def test_a_constant_channel_gets_the_bias_alone():
    def one(w1, b1):
        weights = {**graph().constants, "w1": w1, "b1": b1}
        return from_proto(build(TEXT, weights), name="m")

    flat = one(np.zeros((6, 3, 3, 3), np.float32), np.zeros(6, np.float32))
    teacher = one(np.zeros((6, 3, 3, 3), np.float32), np.full(6, 2, np.float32))
    twin = build_twin(flat)
    kept = {"a": KeptChannels(1, np.arange(6), 6)}
    batch = Batch({"x": torch.tensor(normal(4, 3, 8, 8))}, None, 4)
    correct_levels(flat, twin, build_twin(teacher), kept, batch)
    found = twin.parameters_by_name()
    assert not found["w1"].any()
    torch.testing.assert_close(found["b1"].detach(), torch.full((6,), 2.0))


def test_batch_normalisation_is_corrected_too():
    text = """net (float[N,3,8,8] x) => (float[N,c,8,8] y) {
      a = Conv(x, w1)  n = BatchNormalization(a, scale, bias, mean, var)  y = Relu(n) }"""

    def one(channels):
        weights = {
            "w1": normal(6, 3, 1, 1)[channels],
            "scale": np.ones(len(channels), np.float32) + (len(channels) < 6),
            "bias": normal(6)[channels],
            "mean": normal(6, seed=1)[channels],
            "var": np.ones(len(channels), np.float32),
        }
        return from_proto(build(text, weights), name="m")

    student, teacher = build_twin(one(FIRST)), build_twin(one(list(range(6))))
    kept = {"n": KeptChannels(1, np.array(FIRST), 6), "a": KeptChannels(1, np.array(FIRST), 6)}
    batch = Batch({"x": torch.tensor(normal(4, 3, 8, 8))}, None, 4)
    assert correct_levels(one(FIRST), student, teacher, kept, batch) == 1
    torch.testing.assert_close(
        student(batch.feeds)["y"], teacher(batch.feeds)["y"][:, FIRST], rtol=1e-4, atol=1e-4
    )
