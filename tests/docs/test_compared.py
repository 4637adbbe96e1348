"""docs/compared.md: its figures are those of the tables that the tools wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "compared.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\|(?!---).*\|$", TEXT, re.MULTILINE)
TABLES = [
    (DOCS / name).read_text(encoding="utf-8") for name in ("results/peers.md", "performance.md")
]


def test_there_are_rows_of_both_tables():
    assert len(ROWS) >= 20
    assert all(any(row in table for row in ROWS) for table in TABLES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.strip("| ").split()[:4]))
def test_each_row_stands_in_a_table_of_results(row):
    assert any(f"\n{row}\n" in table for table in TABLES)


def test_versions_are_those_that_were_run():
    (line,) = re.findall(r"^- versions: (.*)$", TABLES[0], re.MULTILINE)
    for version in (
        "onnxsim 0.8.1",
        "torch-pruning 1.6.1",
        "onnx2torch 1.5.15",
        "wrg-onnx 4112fcc",
    ):
        assert version in line
        name, number = version.rsplit(" ", 1)
        assert re.search(rf"{re.escape(name)} (?:at )?{re.escape(number)}", TEXT, re.IGNORECASE)


def test_no_row_is_chosen_without_those_of_the_same_network():
    networks = {row.split("|")[1].strip() for row in ROWS if "Torch-Pruning" in row}
    for network in networks:
        of_peers = re.findall(
            rf"^\| {re.escape(network)} \| Torch-Pruning.*$", TABLES[1], re.MULTILINE
        )
        assert all(row in ROWS for row in of_peers)
        assert of_peers
