"""What no model says, refused before anything else reads it.

Parsers in C++ believe much of what a message says: how many operands a node has, which attribute is
a list, where the bytes of a tensor are. So it is held against the schemas of the operators first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import onnx

from wrg_onnx.errors import ModelError

LONGEST_NAME = 1 << 16
"""How many characters a name may have. Those of exporters, which are paths through modules, have a
few hundred."""

LATEST_VERSION = (1 << 31) - 1
"""No operator set has a version above; onnx and ONNX Runtime take numbers of 32 bits."""

_SHOWN = 60

_Part: TypeAlias = "onnx.GraphProto | onnx.FunctionProto"


def screen(model: onnx.ModelProto, name: str) -> None:
    """Refuse a model that cannot be one.

    Args:
        model: The message as it was parsed; its large weights may be outside.
        name: What messages call it.

    Raises:
        ModelError: If a text is no UTF-8 or longer than ``LONGEST_NAME``; a version is none; a
            tensor, an input or an output has no name, or two have the same one; nothing is
            returned; a node does not have the operands, attributes or bodies that its operator has;
            or a tensor that nothing here reads has its bytes outside of the file.
    """
    if not model.graph.output:
        raise _refusal(name, "its graph returns nothing")
    _check_model_texts(model, name)
    _check_versions(model, name)
    imports = {one.domain: one.version for one in model.opset_import}
    for part in _graphs(model.graph):
        _check_names(part, name)
        _check_nodes(part, imports, name)
    for function in model.functions:
        own = {**imports, **{one.domain: one.version for one in function.opset_import}}
        _check_texts((function.domain, function.name, *function.input, *function.output), name)
        _check_nodes(function, own, name)
        for node in function.node:
            for part in _bodies(node):
                for inner in _graphs(part):
                    _check_names(inner, name)
                    _check_nodes(inner, own, name)
    for info in model.training_info:
        for part in (info.initialization, info.algorithm):
            if any(map(_is_outside, part.initializer)):
                raise _refusal(name, "what it is trained with has its bytes outside of the file")


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the bodies in it."""
    found = [graph]
    for part in found:  # grows while it is walked
        for node in part.node:
            found += _bodies(node)
    yield from found


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _check_model_texts(model: onnx.ModelProto, name: str) -> None:
    texts = [model.producer_name, model.producer_version, model.domain]
    texts += [one.domain for one in model.opset_import]
    texts += [entry.key for entry in model.metadata_props]
    _check_texts(texts, name)
    # What a file notes may be long.
    _check_texts([entry.value for entry in model.metadata_props], name, longest=None)


def _check_versions(model: onnx.ModelProto, name: str) -> None:
    imports = [*model.opset_import, *(o for each in model.functions for o in each.opset_import)]
    for one in imports:
        if not -LATEST_VERSION <= one.version <= LATEST_VERSION:
            raise _refusal(name, f"the operators of {_cut(one.domain)} have version {one.version}")


def _check_texts(texts: Iterable[Any], name: str, longest: int | None = LONGEST_NAME) -> None:
    """Refuse texts that protobuf hands out as bytes, because they are none, and endless names."""
    for text in texts:
        if not isinstance(text, str):
            raise ModelError(f"'{name}': not an ONNX model (a name in it is no UTF-8)")
        if longest is not None and len(text) > longest:
            raise _refusal(
                name,
                f"the name {_cut(text)} has {len(text)} characters, and {longest} are the most",
            )


def _check_names(part: onnx.GraphProto, name: str) -> None:
    """Look at the names of a graph's tensors; those of its nodes' are looked at with them."""
    weights = [tensor.name for tensor in part.initializer]
    weights += [tensor.values.name for tensor in part.sparse_initializer]
    inputs = [info.name for info in part.input]
    outputs = [info.name for info in part.output]
    infos = (*part.input, *part.output, *part.value_info)
    dims = {dim.dim_param for info in infos for dim in info.type.tensor_type.shape.dim}
    known = [info.name for info in part.value_info]
    _check_texts((part.name, *weights, *inputs, *outputs, *known, *dims), name)
    for kind, names in (("weight", weights), ("input", inputs), ("output", outputs)):
        if "" in names:
            raise _refusal(name, f"a {kind} of its graph has no name")
        if len(set(names)) < len(names) and kind != "output":
            twice, _ = Counter(names).most_common(1)[0]
            raise _refusal(name, f"two {kind}s are called {_cut(twice)}")
    for tensor in part.initializer:
        _check_texts(
            (t for e in tensor.external_data for t in (e.key, e.value)), name, longest=None
        )


def _fits(tensor: onnx.TensorProto, declared: onnx.TypeProto.Tensor) -> bool:
    """Tell whether a weight is what the file declares it as; an open size may be any."""
    if declared.elem_type and declared.elem_type != tensor.data_type:
        return False
    if not declared.HasField("shape"):
        return True
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in declared.shape.dim]
    pairs = zip(tensor.dims, sizes, strict=False)
    return len(sizes) == len(tensor.dims) and all(b is None or b <= 0 or a == b for a, b in pairs)


def _check_nodes(part: _Part, imports: dict[str, int], name: str) -> None:
    texts: list[Any] = []
    for node in part.node:
        texts += (node.op_type, node.domain, node.name, *node.input, *node.output)
        texts += [text for a in node.attribute for text in (a.name, a.ref_attr_name)]
    _check_texts(texts, name)
    for node in part.node:
        form = _form(node.op_type, node.domain, imports.get(node.domain, 0))
        if form is not None:
            _check_form(node, form, name)
        for attribute in node.attribute:
            _check_attribute(node, attribute, form, name)


@dataclass(frozen=True, slots=True)
class _Form:
    """What the standard says of an operator.

    Attributes:
        inputs: How many it takes, at least and at most.
        outputs: The same of what it makes.
        given: The places of inputs that must be given.
        kinds: The type of each attribute.
        needed: The attributes that must be there.
    """

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    given: tuple[int, ...]
    kinds: Mapping[str, int]
    needed: tuple[str, ...]


@cache
def _form(op: str, domain: str, version: int) -> _Form | None:
    """Look an operator up; None for those of others."""
    # Like ONNX Runtime we run operators that a version lacks, and versions that onnx does not know.
    if version <= 0 or not onnx.defs.has(op, version, domain):
        return None
    schema: Any = onnx.defs.get_schema(op, version, domain)
    # A Constant that makes nothing is none; a few files have it.
    least = 0 if op == "Constant" else schema.min_output
    single = onnx.defs.OpSchema.FormalParameterOption.Single
    return _Form(
        inputs=(schema.min_input, schema.max_input),
        outputs=(least, schema.max_output),
        given=tuple(k for k, formal in enumerate(schema.inputs) if formal.option == single),
        kinds={key: int(one.type.value) for key, one in schema.attributes.items()},
        needed=tuple(key for key, one in schema.attributes.items() if one.required),
    )


def _check_form(node: onnx.NodeProto, form: _Form, name: str) -> None:
    counts = (
        ("inputs", len(node.input), *form.inputs), ("outputs", len(node.output), *form.outputs)
    )  # fmt: skip
    for what, count, least, most in counts:
        if not least <= count <= most:
            asked = f"{least} or more" if count < least else f"at most {most}"
            raise _refusal(name, f"{_named(node)} has {count} {what}, and takes {asked}")
    if any(place < len(node.input) and not node.input[place] for place in form.given):
        raise _refusal(name, f"{_named(node)} lacks an input that it must have")
    if form.needed:
        lacking = set(form.needed).difference(attribute.name for attribute in node.attribute)
        if lacking:
            raise _refusal(name, f"{_named(node)} lacks the attribute {_cut(min(lacking))}")


def _check_attribute(
    node: onnx.NodeProto, attribute: onnx.AttributeProto, form: _Form | None, name: str
) -> None:
    kind = attribute.type
    wanted = kind if form is None else form.kinds.get(attribute.name, kind)
    if kind and wanted != kind:
        raise _refusal(
            name, f"{_place(attribute, node)} is of type {_KINDS[kind]}, not {_KINDS[wanted]}"
        )
    if attribute.HasField("g"):
        _check_body(node, attribute, form, name)
    others = [*attribute.tensors]
    sparse = [*attribute.sparse_tensors]
    if attribute.HasField("sparse_tensor"):
        sparse.append(attribute.sparse_tensor)
    others += [tensor for one in sparse for tensor in (one.values, one.indices)]
    if attribute.graphs or any(map(_is_outside, others)):
        raise _refusal(name, f"{_place(attribute, node)} holds what nothing here reads")


def _check_body(
    node: onnx.NodeProto, attribute: onnx.AttributeProto, form: _Form | None, name: str
) -> None:
    if attribute.type and attribute.type != onnx.AttributeProto.GRAPH:
        raise _refusal(name, f"{_place(attribute, node)} holds a graph, and is none")
    if form is not None and onnx.AttributeProto.GRAPH not in form.kinds.values():
        raise _refusal(
            name, f"{_place(attribute, node)} is a graph, and {_cut(node.op_type)} runs none"
        )
    given = {tensor.name for tensor in attribute.g.initializer}
    both = sorted(given.intersection(info.name for info in attribute.g.input))
    if both:
        raise _refusal(
            name, f"{_place(attribute, node)} is fed {_cut(both[0])}, which it holds, too"
        )


_KINDS = {number: kind for kind, number in onnx.AttributeProto.AttributeType.items()}


def _is_outside(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL or bool(tensor.external_data)


def _place(attribute: onnx.AttributeProto, node: onnx.NodeProto) -> str:
    return f"attribute {_cut(attribute.name)} of {_named(node)}"


def _named(node: onnx.NodeProto) -> str:
    return f"{_cut(node.op_type, quoted=False)} {_cut(node.name or next(iter(node.output), ''))}"


def _cut(text: str, *, quoted: bool = True) -> str:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"'{shown}'" if quoted else shown


def _refusal(name: str, why: str) -> ModelError:
    return ModelError(f"'{name}': not a sound model: {why}")
