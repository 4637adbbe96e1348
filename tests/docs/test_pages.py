"""The pages and README: what they show is run, and prints what they say, or says why it is not."""

from __future__ import annotations

import re

import pytest
from page_blocks import DOCS, ROOT, blocks_of, run_page

HELD = {  # pages whose blocks make one thing together, and the tests that make it
    "docs/SKILL.md": "tests/docs/test_skill.py",
    "docs/adding-an-operator.md": "tests/test_adding_an_operator.py",
    "docs/architecture.md": "tests/docs/test_architecture.py",
    "docs/config.md": "tests/docs/test_config.py",
    "docs/extending.md": "tests/docs/test_extending.py",
}
PAGES = {
    str(page.relative_to(ROOT)): page
    for page in (
        ROOT / "README.md", ROOT / "models" / "README.md",
        *sorted(DOCS.rglob("*.md")),
    )
    if DOCS / "adr" not in page.parents  # decisions say what was run when they were taken
}  # fmt: skip
OWN = [name for name in PAGES if name not in HELD]


def runs(name):
    return any(block.is_command and block.reason is None for block in blocks_of(PAGES[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OWN if runs(name)])
def test_what_a_page_shows_runs_and_prints_what_it_says(name, tmp_path):
    pytest.importorskip("torch")
    assert run_page(PAGES[name], tmp_path) > 0


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_run_has_a_reason(name):
    reasons = [block.reason for block in blocks_of(PAGES[name]) if block.reason is not None]
    assert all(len(reason) > 10 for reason in reasons)
    named = [path for reason in reasons for path in re.findall(r"tests/[\w/.]+", reason)]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", OWN)
def test_no_block_is_of_a_kind_that_would_not_be_run(name):
    page = PAGES[name]
    left_out = [block for block in blocks_of(page) if block.is_command and block.reason is None]
    assert {block.kind for block in left_out} <= {"sh", "python", "text"}
    fences = re.findall(r"^[ >]*(?:`{3,}|~{3,}).*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(blocks_of(page)), "a fence without a kind, or one that is set in"


@pytest.mark.parametrize("name", HELD)
def test_a_page_that_is_held_elsewhere_is_read_there(name):
    text = (ROOT / HELD[name]).read_text(encoding="utf-8")
    assert PAGES[name].name in text
    assert ".read_text(" in text


@pytest.mark.parametrize("page", sorted((DOCS / "how-to").glob("*.md")), ids=lambda page: page.stem)
def test_a_how_to_page_says_what_to_expect_and_where_the_trap_is(page):
    text = page.read_text(encoding="utf-8")
    assert text.index("**Expect.**") < text.index("**The trap.**")
    assert len(text.splitlines()) <= 60
