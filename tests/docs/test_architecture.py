"""docs/architecture.md speaks of files that are there, of all folders, and its example runs."""

from __future__ import annotations

import doctest
import re
import tomllib
from pathlib import Path

import pytest

import wrg_onnx

PACKAGE = Path(wrg_onnx.__file__).parent
ROOT = PACKAGE.parent
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")


def section(title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)[
        1
    ]


def test_every_file_and_folder_that_it_names_is_there():
    named = set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?|[a-z_]+\.py)`", TEXT))
    named -= {"images/", "masks/"}  # of a user's data
    assert len(named) > 40
    roots = (PACKAGE, ROOT)
    assert [n for n in sorted(named) if not any((root / n).exists() for root in roots)] == []


def test_every_folder_of_the_package_has_its_sentence():
    described = re.findall(r"^\| `(\w+)` \|", section("Folders"), re.MULTILINE)
    assert sorted(described) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_folders_stand_in_the_order_of_the_layers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    names = [name.removeprefix("wrg_onnx.") for layer in layers for name in layer.split(" : ")]
    described = re.findall(r"^\| `(\w+)` \|", section("Folders"), re.MULTILINE)
    assert [name for name in names if name in described] == described


def test_at_least_ten_questions_have_an_answer():
    rows = re.findall(r"^\| .*\? \| .+ \|$", section("Where is ...?"), re.MULTILINE)
    assert len(rows) >= 10


def test_the_example_of_a_unit_prints_what_it_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    example = doctest.DocTestParser().get_doctest(TEXT, {}, PAGE.name, str(PAGE), 0)
    assert len(example.examples) >= 8
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]), ids=str)
def test_every_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


def test_the_readme_keeps_to_what_a_user_needs():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 220
