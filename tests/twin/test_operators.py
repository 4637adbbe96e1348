"""The networks that the tests of the channel rules prune: their twins against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from operator_cases import network
from twin_cases import families, operator_cases

from wrg_onnx.graph import open_session
from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import build_twin

EXCLUDED = {
    f"resize/Resize-{case}-stays": (
        "ONNX Runtime passes over scales and regions of the channel axis; ONNX's reference, like "
        "the twin, resamples it"
    )
    for case in ("by-nearly-1", "crops-channels")
} | {
    f"without_a_rule/{case}-stays": "what it makes is a sequence or an optional, not a tensor"
    for case in ("SplitToSequence", "SequenceConstruct", "Optional")
} | {
    "without_a_rule/unknown-operator-stays": "its operator, Unique, stands for an unknown one",
    "random/RandomNormalLike-stays": "it draws other numbers in every run",
    "random/Bernoulli-stays": "it draws other numbers in every run",
}  # fmt: skip


# Sizes that depend on values, or numbers that are computed from weights, are read back.
READS_VALUES = {
    "gathering/Gather-one-position", "pointwise/Pow", "gathering/Compress-all-stays",
    "gathering/Compress-at-run-time-stays", "gathering/Compress-over-height",
    "gathering/Compress-picks", "gathering/Compress-short", "sampling/MaxRoiPool",
    "without_a_rule/NonMaxSuppression-stays", "without_a_rule/NonZero-stays",
    "resize/Resize-by-computed-scales", "resize/Resize-by-scales-at-run-time-stays",
    "sampling/RoiAlign-10", "sampling/RoiAlign-16-max",
    "reduction/CumSum-over-a-computed-axis-stays",
}  # fmt: skip

# Those that are quantised round: floats/test_dequantise.py has them.
CASES = {
    f"{stem[5:]}/{name}": case
    for stem in families()
    if stem != "test_quantised"
    for name, case in operator_cases(stem).items()
}


@pytest.mark.parametrize("name", CASES)
def test_twin_computes_what_onnx_runtime_computes(name):
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    graph = from_proto(network(CASES[name]), name=name)
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((2 if CASES[name].batch == "N" else 1, 3, 6, 6), np.float32)}
    theirs = open_session(graph, exact=True).run(feeds)
    with torch.no_grad():
        mine = build_twin(graph)({key: torch.from_numpy(array) for key, array in feeds.items()})
    for key, value in mine.items():
        scale = np.abs(theirs[key]).max()
        np.testing.assert_allclose(value.numpy(), theirs[key], rtol=0, atol=1e-4 * scale + 1e-6)


@pytest.mark.parametrize("name", CASES)
def test_twin_keeps_its_tensors_on_the_device_that_it_is_moved_to(name):
    if name in EXCLUDED or name in READS_VALUES:
        pytest.skip("it has no twin, or reads values, which a meta tensor does not hold")
    count = 2 if CASES[name].batch == "N" else 1
    twin = build_twin(from_proto(network(CASES[name]), name=name)).to("meta")
    with torch.no_grad():
        results = twin({"x": torch.empty(count, 3, 6, 6, device="meta")})
    assert {value.device.type for value in results.values()} == {"meta"}


def test_every_exclusion_names_a_case_that_exists():
    assert EXCLUDED.keys() | READS_VALUES <= CASES.keys()
