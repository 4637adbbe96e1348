"""The table of operators in docs/ says what the rules say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location(
        "coverage_table", ROOT / "tools" / "coverage_table.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_coverage_table_is_up_to_date(tool):
    written = tool.TARGET.read_text(encoding="utf-8")
    if f"with onnx {onnx.__version__};" not in written:
        pytest.skip(f"docs/coverage.md was written with another onnx than {onnx.__version__}")
    fresh = written == tool.coverage()
    assert fresh, "docs/coverage.md is stale: run `python tools/coverage_table.py`"


def test_every_operator_of_the_installed_onnx_has_a_row(tool):
    lines = tool.coverage().splitlines()
    listed = {line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")}
    names = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    assert names <= listed


def test_versions_are_divided_among_the_rules(tool):
    rows = list(tool.rows_of("Op", [1, 11, 13], [(13, "new"), (18, "newest")]))
    assert [(row.versions, row.treatment) for row in rows] == [
        ((1, 11), tool.WHOLE), ((13,), "new"), ((13,), "newest")]  # fmt: skip
    assert [row.versions for row in tool.rows_of("Op", [7, 9], [(1, "all")])] == [(7, 9)]
    assert [row.treatment for row in tool.rows_of("Op", [14], [])] == [tool.WHOLE]


def test_versions_older_than_any_accepted_opset_are_left_out(tool):
    assert tool.history()["Concat"] == [4, 11, 13]
    assert tool.history()["Relu"] == [6, 13, 14]
