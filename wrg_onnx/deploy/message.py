"""What a converter of ONNX Runtime is given, and the graph that is read from its answer.

ONNX Runtime's converters change what they are given, talk to the root logger, and raise whatever
the line that failed raises.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import onnx

from wrg_onnx.choices import Precision
from wrg_onnx.errors import ModelError, WrgError, one_line
from wrg_onnx.graph import Edit, Graph, edited, from_proto, to_message
from wrg_onnx.graph.records import all_nodes

MOST_BYTES = 2**31 - 2**24
"""A message ends at 2 GiB, and the converters hold the whole model as one."""

INITIALIZERS_ALONE = 4
"""The IR version from which on an initializer need not be an input, too."""


def message_of(graph: Graph, precision: Precision) -> onnx.ModelProto:
    """Return a model as a message of the caller's own.

    Every node has a name: converters tell nodes apart by that alone. Constant nodes of the main
    graph are initializers, whose type a converter sets by who reads them; no initializer is an
    input, too, which would be none that a converter may touch.

    Raises:
        ModelError: If it is too large to be one.
    """
    size = sum(form.nbytes for form in graph.constants.forms.values())
    if size > MOST_BYTES:
        raise ModelError(
            f"'{graph.name}' cannot become {precision.value}: it has {size / 2**30:.1f} GiB of "
            "weights, and ONNX Runtime's converter takes less than 2 GiB"
        )
    model = to_message(graph)
    for index, node in enumerate(all_nodes(model.graph)):
        node.name = node.name or f"Op_{index}"
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [_copy(value) for value in model.graph.input if value.name not in held]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, INITIALIZERS_ALONE)
    _hoist_constants(model.graph)
    return model


def _hoist_constants(part: onnx.GraphProto) -> None:
    """Make initializers of the Constant nodes that hold a tensor, in place."""
    made = {value.name for value in part.output}
    hoisted = [
        node
        for node in part.node
        if node.op_type == "Constant"
        and [one.name for one in node.attribute] == ["value"]
        and node.output[0] not in made
    ]
    for node in hoisted:
        tensor = part.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        part.node.remove(node)


def read_answer(graph: Graph, model: onnx.ModelProto, precision: Precision) -> Graph:
    """Read what a converter made of a model; its inputs, outputs and notes are the model's.

    Args:
        graph: The model that was converted.
        model: What became of it, which is changed.
        precision: The numbers that it has now.

    Raises:
        ModelError: If it is no valid model.
    """
    before = to_message(graph).graph
    held = {tensor.name for tensor in before.initializer}
    inputs = [value for value in before.input if value.name not in held]
    del model.graph.input[:], model.graph.output[:]
    model.graph.input.extend(inputs)
    model.graph.output.extend(before.output)
    try:
        answer = from_proto(model, name=graph.name)
    except ModelError as error:
        raise ModelError(
            f"'{graph.name}' cannot become {precision.value}: what ONNX Runtime's converter makes "
            f"of it is no valid model ({error})"
        ) from error
    return edited(answer, Edit(metadata=dict(graph.metadata)))


def _copy(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    return copy


@contextmanager
def converting(graph: Graph, precision: Precision) -> Iterator[None]:
    """Run one of ONNX Runtime's converters inside.

    Raises:
        ModelError: If it fails for a reason of its own.
    """
    root, quiet = logging.getLogger(), logging.NullHandler()
    # logging.warning() would else set up a handler for the whole program, which prints.
    root.addHandler(quiet)
    try:
        yield
    except (WrgError, MemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"'{graph.name}' cannot become {precision.value}: ONNX Runtime's converter fails "
            f"({type(error).__name__}: {one_line(error)})"
        ) from error
    finally:
        root.removeHandler(quiet)
