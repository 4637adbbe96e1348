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
    f"indexing/Resize-{case}-stays": (
        "ONNX Runtime passes over scales and regions of the channel axis; ONNX's reference, like "
        "the twin, resamples it"
    )
    for case in ("by-nearly-1", "crops-channels")
} | {
    f"indexing/{case}-stays": "what it makes is a sequence or an optional, not a tensor"
    for case in ("SplitToSequence", "SequenceConstruct", "Optional")
} | {
    "indexing/NonMaxSuppression-stays": "it gives positions alone, chosen by comparisons",
    "/unknown-operator-stays": "the operator, Unique, stands for one that nobody knows",
    "indexing/NegativeLogLikelihoodLoss-stays": "a loss is no part of a network as deployed",
    "normalising/RandomNormalLike-stays": "it draws other numbers in every run",
    "normalising/Bernoulli-stays": "it draws other numbers in every run",
}  # fmt: skip


# Those that are quantised round: test_quantised.py has them.
CASES = {
    f"{stem[15:]}/{name}": case
    for stem in families()
    if stem != "test_operators_quantised"
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


def test_every_exclusion_names_a_case_that_exists():
    assert EXCLUDED.keys() <= CASES.keys()
