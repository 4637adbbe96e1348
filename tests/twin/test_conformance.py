"""The ONNX backend node cases that ship inside the onnx wheel judge the twin."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import onnx
import pytest
import torch

from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import build_twin, lookup

KINDS = {"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}

# The twin gives what integers stand for, so these cannot give the integers that a case expects;
# test_quantised.py compares them with ONNX Runtime.
QUANTISED = {"DynamicQuantizeLinear"}

EXCLUDED = {
    f"test_resize_downsample_scales_{mode}_align_corners": (
        "the case aligns with an output size that is not a whole number; ONNX Runtime, like the "
        "twin, aligns with the size the output has"
    )
    for mode in ("linear", "cubic")
} | {
    f"test_training_dropout{case}": "the twin is the network as deployed: Dropout drops nothing"
    for case in ("", "_default", "_default_mask", "_mask")
}


@cache
def cases():
    """Return the cases by name: each operator registered, each type one that torch computes in."""
    with warnings.catch_warnings():
        # Computing the expected values overflows here and there on purpose.
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        collected = collect_testcases(None)
    return {case.name: case for case in collected if is_covered(case)}


def is_covered(case) -> bool:
    opsets = {imported.domain: imported.version for imported in case.model.opset_import}
    if opsets.get("", 7) < 7 or case.model.functions:
        return False
    nodes = [node for node in case.model.graph.node if node.op_type != "Constant"]
    if any(lookup(n.domain, n.op_type, opsets.get(n.domain, 1)) is None for n in nodes):
        return False
    if any(node.op_type in QUANTISED for node in nodes):
        return False
    arrays = [array for inputs, outputs in case.data_sets for array in (*inputs, *outputs)]
    return bool(nodes) and all(
        isinstance(array, (np.ndarray, np.generic)) and array.dtype.name in KINDS
        for array in arrays
    )


@pytest.mark.parametrize("name", sorted(cases()))
def test_twin_computes_what_the_onnx_backend_case_says(name):
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    case = cases()[name]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    fed = [value.name for value in model.graph.input]
    twin = build_twin(from_proto(model, name=name))
    for inputs, outputs in case.data_sets:
        feeds = {key: torch.tensor(array) for key, array in zip(fed, inputs, strict=True)}
        with torch.no_grad():
            results = twin(feeds)
        for key, expected in zip(twin.output_names, outputs, strict=True):
            actual = results[key].numpy()
            assert actual.dtype == expected.dtype
            assert actual.shape == expected.shape
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-6)


def test_every_exclusion_names_a_case_that_exists():
    assert set(EXCLUDED) <= set(cases())
