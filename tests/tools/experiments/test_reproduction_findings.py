"""What is said of the results is what the program wrote: no figure is typed in."""

import re
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[3] / "docs" / "results"
PAGES = sorted(RESULTS.glob("wrgpruner-*.md"))


def figures(text):
    """Return the figures with a decimal point, without their signs."""
    return set(re.findall(r"\d*\.\d+", text))


def test_each_figure_of_the_findings_stands_in_a_table():
    written = set().union(*(figures(page.read_text(encoding="utf-8")) for page in PAGES))
    said = figures((RESULTS / "wrgpruner.md").read_text(encoding="utf-8"))
    assert said
    assert said <= written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_of_results_is_linked_and_says_its_command(page):
    text = page.read_text(encoding="utf-8")
    assert f"({page.name})" in (RESULTS / "wrgpruner.md").read_text(encoding="utf-8")
    assert "    python tools/experiments/reproduce_wrgpruner.py --" in text
    for plot in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (RESULTS / plot).is_file()
