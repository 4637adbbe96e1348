"""The site of docs/: it builds without a warning, and its reference has every public name."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from required import require

import wrg_onnx.extend
from wrg_onnx.cli.app import COMMANDS

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from site_links import with_links

ROOT = Path(__file__).parents[2]
FACES = (
    "select", "factors", "calibrate", "rewrite", "recover", "finetune", "report", "tsod",
    "extensions",
)  # fmt: skip
MKDOCS = ROOT / "build" / "docs-venv" / "bin" / "mkdocs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where the site was built, and what that said."""
    require(MKDOCS.exists(), "no mkdocs here: `make docs` installs it")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", folder], cwd=ROOT, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return folder, done.stdout


def html(site, page):
    return (site[0] / page).read_text(encoding="utf-8")


def test_it_builds_without_a_warning(site):
    assert "WARNING" not in site[1]
    assert "Documentation built" in site[1]


def test_it_has_every_page_of_the_folder(site):
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    for page in pages:
        name = "index" if page.stem == "README" else page.stem
        assert (site[0] / page.with_name(f"{name}.html")).exists(), page


def test_its_reference_has_every_name_of_the_python_api(site):
    text = html(site, "reference/python.html")
    names = {*wrg_onnx.__all__} - {"__version__"}
    assert {
        name for name in names if not re.search(rf'id="wrg_onnx\.[\w.]*\b{name}"', text)
    } == set()


def test_its_reference_has_every_name_for_packages_of_others(site):
    text = html(site, "reference/extend.html")
    names = {*wrg_onnx.extend.__all__, "WEIGHT"}
    assert {name for name in names if f'id="wrg_onnx.extend.{name}"' not in text} == set()


@pytest.mark.parametrize("folder", FACES)
def test_its_reference_has_every_name_of_a_folders_face(site, folder):
    text = html(site, "reference/folders.html")
    for name in importlib.import_module(f"wrg_onnx.{folder}").__all__:
        # A function that is named like its file is shown from there.
        places = (f"wrg_onnx.{folder}.{name}", f"wrg_onnx.{folder}.{name}.{name}")
        assert any(f'id="{place}"' in text for place in places), name


def test_its_reference_has_the_help_of_every_command(site):
    text = html(site, "reference/command-line.html")
    for command in COMMANDS:
        assert f"Usage: wrg-onnx {command}" in text, command


def test_each_list_of_a_page_is_one_in_the_site(site):
    """A list right behind a paragraph is one in other forms of Markdown, and text in this one."""
    for path in site[0].rglob("*.html"):
        text = re.sub(
            r"<(pre|code)\b.*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        for paragraph in re.findall(r"<p>(.*?)</p>", text, re.DOTALL):
            assert not re.search(r"^(?:[-*]|\d+\.) ", paragraph, re.MULTILINE), (path, paragraph)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_what_goes_on_in_a_list_is_set_in_by_four(page):
    """With less it is text behind the list in the site, and a formula no block of its own."""
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert not re.search(r"^\n(?: {1,3}| {5,7})\S.*", text, re.MULTILINE)


def test_a_reader_of_it_asks_no_other_server_for_anything(site):
    loaded = re.compile(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+href="https?://')
    for path in site[0].rglob("*.html"):
        assert not loaded.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("[a test](../tests/a.py) holds", "a test (`tests/a.py`) holds"),
        ("[tests/a.py](../tests/a.py)", "`tests/a.py`"),
        ("[sel](../docs/sel.md#x) [how](how.md)", "[sel](../docs/sel.md#x) [how](how.md)"),
        ("`[a](../b)`", "`[a](../b)`"),
        ("```md\n[a](../b)\n```\n[a](../b)", "```md\n[a](../b)\n```\na (`b`)"),
    ],
    ids=["text", "name", "inside", "code", "block"],
)
def test_a_link_out_of_the_folder_becomes_the_name_of_the_file(markdown, found):
    assert with_links(markdown, "docs", None) == found


def test_where_the_repository_is_known_a_link_leads_there():
    found = with_links("[a](../../tests/a.py#L3)", "docs/adr", "https://example.org/r/")
    assert found == "[a](https://example.org/r/blob/main/tests/a.py#L3)"
