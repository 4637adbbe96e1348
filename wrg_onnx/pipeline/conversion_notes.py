"""What a user should know about a model in half precision or int8, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wrg_onnx.deploy import Converted
from wrg_onnx.graph import stored_bytes
from wrg_onnx.pipeline.config import Precision, PruneConfig
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.report.rows import byte_size


def conversion_notes(converted: Converted, samples: Samples, config: PruneConfig) -> Iterator[str]:
    """Yield what a user should know about what was converted.

    Args:
        converted: The model, and what of it was left.
        samples: What the run looked at.
        config: What was asked for.
    """
    name = converted.precision.value
    for why, nodes in _by_reason(converted).items():
        listed = ", ".join(_named(op, names) for op, names in nodes.items())
        yield f"in float32 stay, as {why}: {listed}"
    is_random = config.data.path is None and samples.preprocessing is None
    if converted.precision is Precision.INT8 and is_random:
        yield (
            "int8's ranges were measured on random inputs, which real ones may leave by far: give "
            "--data"
        )
    now = stored_bytes(converted.graph)
    if now >= converted.bytes_before:
        yield (
            f"{name} makes the file no smaller ({byte_size(now)}, in float32 "
            f"{byte_size(converted.bytes_before)}): its layers are so small that scales and "
            "conversions take more than they save"
        )


def _by_reason(converted: Converted) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return the names of the nodes that were left, by reason and operator."""
    found: dict[str, dict[str, list[str]]] = {}
    for op, nodes in converted.left_by_operator.items():
        for node in nodes:
            found.setdefault(node.why, {}).setdefault(op, []).append(node.node)
    return found


def _named(op: str, nodes: Sequence[str]) -> str:
    """Name an operator's nodes, the first one by its own name."""
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{op} '{nodes[0]}'{more}"
