"""docs/security.md names tests that are there, and what it says of the code is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import wrg_onnx

PACKAGE = Path(wrg_onnx.__file__).parent
ROOT = PACKAGE.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))

ADVISORIES = (
    "CVE-2022-25882", "CVE-2024-27318", "CVE-2024-5187", "CVE-2025-51480", "CVE-2026-27489",
    "CVE-2026-34445", "CVE-2026-34446", "CVE-2026-34447", "CVE-2026-28500", "GHSA-538c-55jv-c5g9",
    "GHSA-q56x-g2fj-4rj6", "GHSA-7w46-vvrh-m8q5",
)  # fmt: skip


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_it_names_is_there(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("advisory", ADVISORIES)
def test_each_advisory_has_a_row_with_a_test(advisory):
    (row,) = (
        line
        for line in TEXT.splitlines()
        if line.startswith("| ") and advisory in line.split("|")[1]
    )
    assert "`tests/" in row.split("|")[4]


def test_every_row_of_both_tables_names_a_test():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and line.count("|") >= 4]
    rows = [row for row in rows if row.count("|") != 4 or "`tests/" in row]
    assert len(rows) > 25
    assert len(NAMED) > 20


def imports(path):
    """Yield the names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_nothing_imports_what_downloads_or_unpacks():
    bad = {
        "tarfile", "shutil.unpack_archive", "urllib.request", "http.client", "ftplib", "requests",
        "onnx.hub", "onnx.backend.test", "onnx.version_converter", "pickle.load", "pickle.loads",
    }  # fmt: skip
    for path in PACKAGE.rglob("*.py"):
        found = bad.intersection(imports(path))
        assert not found, (path, found)


def test_what_is_written_takes_no_path_from_the_model(tmp_path):
    import numpy as np
    import onnx
    from strategies import build, normal

    from wrg_onnx.graph import load, save

    model = build(
        "net (float[1,40] x) => (float[1,50] y) { y = MatMul(x, w) }", {"w": normal(40, 50)}
    )
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    tensor = model.graph.initializer[0]
    (tmp_path / "in" / "deep" / "w.data").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="deep/w.data")
    (tmp_path / "in" / "m.onnx").write_bytes(model.SerializeToString())
    before = sorted(tmp_path.rglob("*"))
    graph = load(tmp_path / "in" / "m.onnx")
    save(graph, tmp_path / "out" / "m.onnx", force=False)
    new = set(tmp_path.rglob("*")) - set(before)
    assert {path.parent for path in new} == {tmp_path / "out"}
    found = load(tmp_path / "out" / "m.onnx").constants["w"]
    np.testing.assert_array_equal(found, normal(40, 50))
