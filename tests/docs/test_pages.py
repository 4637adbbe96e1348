"""The tutorial, the how-to pages and the start: what they show is run, and prints what they say."""

from __future__ import annotations

import pytest
from page_blocks import DOCS, blocks_of, run_page

PAGES = [
    DOCS / "index.md", DOCS / "tutorial.md", DOCS / "faq.md",
    *sorted((DOCS / "how-to").glob("*.md")),
]  # fmt: skip


def runs(page):
    return any(block.reason is None for block in blocks_of(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=lambda page: page.stem)
def test_what_a_page_shows_runs_and_prints_what_it_says(page, tmp_path):
    pytest.importorskip("torch")
    assert run_page(page, tmp_path) > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_has_a_reason(page):
    reasons = [block.reason for block in blocks_of(page) if block.reason is not None]
    assert all(len(reason) > 10 for reason in reasons)


@pytest.mark.parametrize("page", sorted((DOCS / "how-to").glob("*.md")), ids=lambda page: page.stem)
def test_a_how_to_page_says_what_to_expect_and_where_the_trap_is(page):
    text = page.read_text(encoding="utf-8")
    assert text.index("**Expect.**") < text.index("**The trap.**")
    assert len(text.splitlines()) <= 60
