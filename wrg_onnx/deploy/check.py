"""Whether a converted model can go where the model went that it was made from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wrg_onnx.choices import Precision, Provider
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Array, Graph, Value, checker_problem, open_session

SAMPLES = 4
"""On how many samples both are run: a number that does not fit is seen on most."""


def check_converted(before: Graph, after: Graph, precision: Precision, data: DataSet) -> None:
    """Refuse a converted model that is not valid, or whose numbers do not fit into its types.

    Args:
        before: The model in float32.
        after: What was made of it.
        precision: Its numbers.
        data: What both are run on, on the CPU.

    Raises:
        ModelError: If the ONNX checker or ONNX Runtime refuses it, its inputs or outputs are
            others, or it gives infinity or NaN where the float32 model gives numbers.
        DataError: If ONNX Runtime fails on it.
    """
    refused = f"'{before.name}' cannot become {precision.value}"
    problem = checker_problem(after)
    if problem is not None and checker_problem(before) is None:
        raise ModelError(f"{refused}: the ONNX checker refuses the result: {problem}")
    for what, old, new in (
        ("inputs", before.inputs, after.inputs),
        ("outputs", before.outputs, after.outputs),
    ):
        if _interface(old) != _interface(new):
            raise ModelError(f"{refused}: its {what} would be {_interface(new)}")
    first, second = (open_session(graph, provider=Provider.CPU) for graph in (before, after))
    for number in range(min(SAMPLES, len(data))):
        sample = data[number]
        wrong = _overflowing(first.run(sample.feeds), second.run(sample.feeds))
        if wrong:
            raise ModelError(
                f"{refused}: output '{wrong}' is no finite number any more on {sample.name}: what "
                f"the model computes on the way does not fit into {precision.value}"
            )


def _interface(values: tuple[Value, ...]) -> list[tuple[object, ...]]:
    return [(value.name, str(value.dtype), value.shape, value.kind) for value in values]


def _overflowing(before: Mapping[str, Array], after: Mapping[str, Array]) -> str:
    """Return the first output that is finite before and not after; empty if there is none."""
    for name, array in after.items():
        old = before[name]
        if array.dtype.kind != "f" or old.shape != array.shape:
            continue
        if (np.isfinite(old) & ~np.isfinite(array)).any():
            return name
    return ""
