"""A small check of a pruned file that knows nothing of who pruned it.

Where a weight shrank, the survivors are found by their values; everything else is set to zero in
the original, and both files run in ONNX Runtime on the same input. It serves where weights keep
names and values, and where their values are mostly distinct.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def check(original: onnx.ModelProto, pruned: onnx.ModelProto) -> dict[str, Any]:
    """Mask the original in place and compare; the keys are those of ``outcomes.judged``."""
    before, after = _weights(original), _weights(pruned)
    found: dict[str, Any] = {
        "removed": 1 - _parameters(after) / max(_parameters(before), 1),
        "same_io": _interface(original) == _interface(pruned),
        "missing": len(set(before) - set(after)),
        "n_unmatched": _mask(before, after),
        "checker": True,
    }
    try:
        onnx.checker.check_model(pruned, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        found["checker"] = str(error)
    inputs = feeds(original)
    for key, model in (("error_masked", original), ("error", pruned)):
        try:
            found[f"{key} outputs"] = run(model, inputs)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no common class of its own
            return {**found, key: str(error)}
    pairs = zip(found.pop("error_masked outputs"), found.pop("error outputs"), strict=True)
    # An output that is the same everywhere, such as a dead Relu's, shows no difference.
    told = [_difference(*pair) for pair in pairs if pair[0].size and pair[0].min() < pair[0].max()]
    return {**found, "err": max(told, default=None)}


def feeds(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Draw an input; open sizes are 1."""
    rng = np.random.default_rng(seed)
    weights = {tensor.name for tensor in model.graph.initializer}
    drawn = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        shape = [dim.dim_value or 1 for dim in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        is_float = np.issubdtype(dtype, np.floating)
        array = rng.standard_normal(shape) if is_float else rng.integers(0, 50, shape)
        drawn[value.name] = array.astype(dtype)
    return drawn


def run(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """Run a model in ONNX Runtime on the CPU, without optimisation beyond the basic one."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(inputs)))


def kept_positions(whole: Array, part: Array) -> tuple[NDArray[np.int64], ...] | None:
    """Find the positions on each axis whose slices of ``whole`` make up ``part``.

    Every value that occurs once in ``whole`` tells where its element was; None if some position
    has no such value, or if the slices do not give ``part``.
    """
    if whole.ndim != part.ndim or not part.size:
        return None
    order = np.argsort(whole, axis=None)
    ranked = whole.ravel()[order]
    low = np.searchsorted(ranked, part.ravel(), "left")
    high = np.searchsorted(ranked, part.ravel(), "right")
    telling = np.flatnonzero(high - low == 1)
    old = np.unravel_index(order[low[telling]], whole.shape)
    new = np.unravel_index(telling, part.shape)
    kept = []
    for axis, length in enumerate(part.shape):
        positions = np.full(length, -1)
        positions[new[axis]] = old[axis]
        if length == whole.shape[axis]:
            positions = np.arange(length)
        if (positions < 0).any():
            return None
        kept.append(positions)
    return tuple(kept) if np.array_equal(whole[np.ix_(*kept)], part) else None


def _mask(before: Mapping[str, onnx.TensorProto], after: Mapping[str, onnx.TensorProto]) -> int:
    """Zero in the original what the pruned file lacks; return how many weights stay unexplained."""
    unexplained = 0
    for name, tensor in before.items():
        if name not in after or tensor.dims == after[name].dims:
            continue
        whole = numpy_helper.to_array(tensor)
        kept = kept_positions(whole, numpy_helper.to_array(after[name]))
        if kept is None:
            unexplained += 1
            continue
        left = np.zeros_like(whole)
        left[np.ix_(*kept)] = whole[np.ix_(*kept)]
        tensor.CopyFrom(numpy_helper.from_array(left, name))
    return unexplained


def _weights(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Collect the float initializers and Constant nodes of rank 1 and more, by name."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                tensors[node.output[0]] = attribute.t
    return {n: t for n, t in tensors.items() if t.data_type in FLOATS and len(t.dims)}


def _parameters(weights: Mapping[str, onnx.TensorProto]) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in weights.values())


def _interface(model: onnx.ModelProto) -> list[bytes]:
    weights = {tensor.name for tensor in model.graph.initializer}
    values = [*model.graph.input, *model.graph.output]
    return [v.name.encode() + v.type.SerializeToString() for v in values if v.name not in weights]


def _difference(expected: Array, found: Array) -> float:
    if expected.shape != found.shape:
        return float("inf")
    if expected.dtype.kind != "f":
        return float((expected != found).any())
    return float(np.abs(expected - found).max() / (np.abs(expected).max() + 1e-12))
