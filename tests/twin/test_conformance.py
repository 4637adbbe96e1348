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
from wrg_onnx.twin.attributes import to_array, to_tensor

# Torch stores unsigned integers of 16 to 64 bits and does not compute with them.
KINDS = {
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool",
}  # fmt: skip
# The cases are made to 1e-3 in float32; half precision is off by a few of its own roundings.
TOLERANCES = {"float16": 4 * 2**-10, "bfloat16": 4 * 2**-7}

# The twin gives what integers stand for, so these cannot give the integers that a case expects;
# floats/test_dequantise.py compares them with ONNX Runtime.
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
} | {
    f"test_bernoulli{kind}{case}": "the case holds what one generator drew"
    for kind in ("", "_double", "_seed")
    for case in ("", "_expanded")
}  # fmt: skip


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
        feeds = {key: to_tensor(np.asarray(a)) for key, a in zip(fed, inputs, strict=True)}
        with torch.no_grad():
            results = twin(feeds)
        for key, array in zip(twin.output_names, outputs, strict=True):
            value, expected = results[key], np.asarray(array)
            assert value.dtype == to_tensor(expected).dtype
            assert tuple(value.shape) == expected.shape
            actual = to_array(value, expected)
            tolerance = TOLERANCES.get(expected.dtype.name)
            if tolerance is None:
                np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-6)
            else:
                wide = actual.astype(np.float32), expected.astype(np.float32)
                np.testing.assert_allclose(*wide, rtol=tolerance, atol=tolerance)


def test_every_exclusion_names_a_case_that_exists():
    assert set(EXCLUDED) <= set(cases())
