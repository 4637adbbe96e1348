"""Twin operators of others: which are run, and which are refused."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from wrg_onnx.errors import ExtensionError  # noqa: E402
from wrg_onnx.extensions import Kind  # noqa: E402
from wrg_onnx.graph import Node  # noqa: E402
from wrg_onnx.twin import lookup  # noqa: E402

GRID_SAMPLE = Node(0, "n", "GridSample", "com.microsoft", 1, ("x", "g"), ("y",), {})
TWIN = """
from wrg_onnx.extend import twin_op

@twin_op("{op}", domain="{domain}", since=1)
def couple(node, x, *rest):
    {body}
"""


def of(module, name):
    return {Kind.TWIN.group: {name: f"{module}:couple"}}


def twin(op="GridSample", domain="com.microsoft", body="return x"):
    return TWIN.format(op=op, domain=domain, body=body)


def test_a_twin_of_a_package_is_found_and_its_failures_are_told(bring):
    bring("acme_a", twin(), of("acme_a", "com.microsoft.GridSample"))
    found = lookup("com.microsoft", "GridSample", 1)
    assert found.function(GRID_SAMPLE, torch.ones(2)).tolist() == [1, 1]
    with pytest.raises(
        ExtensionError, match=r"the twin operator of 'acme-a' 1.0 fails on com.microsoft.GridSample"
    ):
        found.function(GRID_SAMPLE)


def test_a_twin_of_an_operator_that_is_ours_is_refused(bring):
    bring("acme_a", twin("Relu", ""), of("acme_a", "Relu"))
    assert lookup("", "Conv", 17) is not None
    with pytest.raises(ExtensionError, match="a twin operator 'Relu' already, of 'wrg-onnx'"):
        lookup("", "Relu", 17)


def test_a_twin_that_fails_to_import_is_an_error_for_its_operator_alone(bring):
    bring("acme_a", "1 / 0", of("acme_a", "com.microsoft.GridSample"))
    assert lookup("", "Conv", 17) is not None
    with pytest.raises(ExtensionError, match="ZeroDivisionError"):
        lookup("com.microsoft", "GridSample", 1)
