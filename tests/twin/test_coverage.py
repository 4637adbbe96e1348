"""Which operators have a twin: those of the channel rules, and those of real models."""

from __future__ import annotations

import lzma
from pathlib import Path

import onnx
import pytest

import wrg_onnx.channels.rules  # noqa: F401 - registers the rules
from wrg_onnx.channels.table import registered as ruled
from wrg_onnx.graph.model import Node
from wrg_onnx.twin import lookup, registered
from wrg_onnx.twin.forms import is_quantised

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = sorted([*DATA.glob("models/*.onnx"), *DATA.glob("zoo/*.onnx.xz")])


def has_twin(domain, op, version):
    node = Node(0, op, op, domain, version, (), ())
    return lookup(domain, op, version) is not None or is_quantised(node)


def test_every_operator_with_a_rule_for_its_channels_has_a_twin():
    latest = {(domain, op): since for domain, op, since, _ in ruled()}
    twins = {(domain, op) for domain, op, _ in registered()}
    missing = {
        op
        for (domain, op), since in latest.items()
        if (domain, op) not in twins and not has_twin(domain, op, since)
    }
    assert not missing


def operators(graph, opsets):
    """Yield (domain, operator, version) of every node, bodies included."""
    for node in graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if node.op_type != "Constant":
            yield domain, node.op_type, opsets.get(domain, 1)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from operators(attribute.g, opsets)


@pytest.mark.skipif(not FILES, reason=f"the model collection is not here: {DATA}")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_operator_of_a_real_model_has_a_twin(path):
    content = path.read_bytes()
    model = onnx.ModelProto()
    model.ParseFromString(lzma.decompress(content) if path.suffix == ".xz" else content)
    opsets = {imported.domain: imported.version for imported in model.opset_import}
    found = set(operators(model.graph, opsets))
    assert found
    assert not [key for key in sorted(found) if not has_twin(*key)]
