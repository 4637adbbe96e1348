"""Static quantisation to int8, with ranges from the calibration set.

Each quantised tensor is written as a QuantizeLinear and a DequantizeLinear around float operators
(QDQ), which every runtime reads: one that has an int8 kernel takes it, another computes in float
what the int8 kernel would have. Weights are int8, symmetric, with a scale per output channel;
activations uint8, since the range of most begins at zero behind a Relu.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from wrg_onnx.channels import traits_of
from wrg_onnx.choices import Precision
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.deploy.check import check_converted
from wrg_onnx.deploy.converted import Converted, Left
from wrg_onnx.deploy.message import converting, message_of, read_answer
from wrg_onnx.errors import ModelError, one_line
from wrg_onnx.files import scratch_folder
from wrg_onnx.graph import Array, Graph, element_types, flatten
from wrg_onnx.graph.session import runtime
from wrg_onnx.progress import Progress, silent

SCALES_PER_CHANNEL = 13
"""The opset from which on DequantizeLinear takes a scale per channel."""

AT_ONCE = 1
"""Of how many samples the calibrator holds all outputs before it keeps their ranges alone."""

NO_KERNEL = "ONNX Runtime has no int8 kernel"

NOT_TAKEN = "ONNX Runtime's quantiser leaves it out there"


def to_int8(graph: Graph, data: DataSet, *, progress: Progress = silent) -> Converted:
    """Quantise a model's weights and activations to 8 bits; inputs and outputs stay float32.

    Operators without an int8 kernel in ONNX Runtime stay in float32, and are named: to round what
    they read and write would cost accuracy and gain nothing.

    Args:
        graph: The model, in float32.
        data: The calibration set: the smallest and largest value of each activation on it make its
            scale.
        progress: Told how many samples are done.

    Returns:
        The quantised model.

    Raises:
        ModelError: If the quantiser fails on it, or nothing in it can be quantised.
        DataError: If a sample cannot be read.
        MissingPackageError: If ONNX Runtime is not installed.
    """
    runtime()
    from onnxruntime import quantization
    from onnxruntime.quantization.registry import QLinearOpsRegistry

    operators = frozenset(QLinearOpsRegistry)
    with (
        scratch_folder() as folder,
        converting(graph, Precision.INT8),
    ):
        plain, target = folder / "float32.onnx", folder / "int8.onnx"
        onnx.save(message_of(graph, Precision.INT8), plain)
        size = plain.stat().st_size
        quantization.quantize_static(
            _prepared(graph, plain),
            target,
            _feeding(data, progress),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=sorted(operators),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"CalibStridedMinMax": AT_ONCE},
        )
        after = read_answer(graph, onnx.load(target), Precision.INT8)
    if not any(node.op == "DequantizeLinear" for node in after.nodes):
        raise ModelError(
            f"'{graph.name}' cannot become int8: ONNX Runtime has int8 kernels for none of its "
            "operators"
        )
    check_converted(graph, after, Precision.INT8, data)
    return Converted(after, Precision.INT8, len(data), size, tuple(_left(after, operators)))


def _prepared(graph: Graph, plain: Path) -> Path:
    """Let ONNX Runtime fold what it would fold anyway, so that the rest is quantised as it is run.

    Above all a BatchNormalization goes into the layer before it, instead of between two roundings.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model, prepared = onnx.load(plain), plain.with_name("prepared.onnx")
    version = max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if version < SCALES_PER_CHANNEL:
        try:
            model = onnx.version_converter.convert_version(model, SCALES_PER_CHANNEL)
        except RuntimeError as error:
            raise ModelError(
                f"'{graph.name}' cannot become int8: a scale per channel needs opset "
                f"{SCALES_PER_CHANNEL}, and onnx does not convert the model's opset {version} "
                f"({one_line(error)})"
            ) from error
        onnx.save(model, plain)
    # From a file: of a message it takes the weights away, and looks for them later.
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)
    # The quantiser would write a message once more, to a file that it names after the machine's
    # network card: it would open a socket to ask for that.
    return prepared


def _feeding(data: DataSet, progress: Progress) -> Any:
    """Return what ONNX Runtime's calibrator asks for the next sample."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        """Hands over the samples of a range, one after the other."""

        def __init__(self) -> None:
            self.next, self.end = 0, len(data)

        def __len__(self) -> int:
            return len(data)

        def set_range(self, start_index: int, end_index: int) -> None:
            self.next, self.end = start_index, end_index

        def get_next(self) -> dict[str, Array] | None:
            if self.next == self.end:
                return None
            self.next += 1
            progress("convert", self.next, len(data))
            return dict(data[self.next - 1].feeds)

    return Reader()


def _left(graph: Graph, operators: frozenset[str]) -> Iterator[Left]:
    """Yield the nodes of a quantised model that compute in float32; to move it costs nothing."""
    flat = flatten(graph).graph
    types = element_types(graph)
    types |= {name: form.dtype for name, form in flat.constants.forms.items()}
    types |= {value.name: value.dtype for value in flat.inputs}
    rounded = {
        name for node in flat.nodes if node.op == "DequantizeLinear" for name in node.outputs
    }
    for node in flat.nodes:
        if node.op in ("QuantizeLinear", "DequantizeLinear", "Constant") or not node.inputs:
            continue
        first = node.inputs[0]
        if types.get(first) != np.float32 or types.get(node.outputs[0]) != np.float32:
            continue
        if traits_of(node).moves_elements:
            continue
        if node.op not in operators:
            yield Left(node.op, node.name, NO_KERNEL)
        elif first not in rounded:
            yield Left(node.op, node.name, NOT_TAKEN)
