"""docs/reliability.md: each promise has a test, and the tests that it names are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import damage
import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| promise")
]


def named(cell):
    """Yield the file and the name of each test in a cell; a file stands for those behind it."""
    file = ""
    for text in re.findall(r"`([^`]+)`", cell):
        own, _, name = text.rpartition("::")
        file = own or file
        yield file, name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_each_promise_names_tests_that_are_there(row):
    promise, tests = row
    assert promise.endswith(".")
    found = list(named(tests))
    assert found
    for file, name in found:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file}::{name}"


def test_there_are_promises_of_each_section():
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    with_table = [section for section in sections if "| promise |" in section]
    assert len(with_table) >= 4
    assert len(ROWS) > 25
    assert any(section.startswith("What is not promised") for section in sections)


def test_it_counts_the_ways_of_damage():
    ways = (len(damage.FILES), len(damage.FORMS) + len(damage.VALUES), len(damage.LEAVES))
    assert f"{ways[0]} ways to damage a file" in TEXT
    assert f"{ways[1]} to change an\n  array and {ways[2]} to change a value" in TEXT
