"""Pages in a real browser: nothing is complained of or asked for, and everybody can read them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from browser import find_chromium
from paged import HOSTILE, PRUNED, SWEPT, hostile
from required import require

from wrg_onnx.report.page import to_html

WEB = Path(__file__).parents[2] / "deploy" / "web"

LONGEST = 300
"""Seconds until a page was looked at in both themes and at both widths."""

ALL_AT_ONCE = " ".join(text[:60] for text in HOSTILE)

PAGES = {
    "prune": lambda: to_html(PRUNED),
    "sweep": lambda: to_html(SWEPT),
    "hostile": lambda: to_html(hostile(ALL_AT_ONCE)),
}
each_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """What the browser met, by page; each is opened once."""
    chromium = find_chromium()
    require(chromium, "no Chromium here: `make web` installs it")
    require((WEB / "node_modules" / "puppeteer-core").is_dir(), "no puppeteer: `make web`")
    node = shutil.which("node")
    require(node, "no node here: `make web` installs it")
    folder, found = tmp_path_factory.mktemp("pages"), {}

    def look(name):
        if name not in found:
            path = folder / f"{name}.html"
            path.write_text(PAGES[name](), encoding="utf-8")
            done = subprocess.run(
                [node, WEB / "report.mjs", chromium, path],
                capture_output=True, text=True, timeout=LONGEST, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            found[name] = json.loads(done.stdout)
        return found[name]

    return look


@each_page
def test_nothing_is_complained_of(looked_at, page):
    told = looked_at(page)
    assert [view["console"] for view in (*told["views"], told["unscripted"])] == [[]] * 5


@each_page
def test_nothing_is_asked_for(looked_at, page):
    told = looked_at(page)
    for view in (*told["views"], told["unscripted"]):
        asked = {one for one in view["requests"] if not one.startswith("data:image/png;base64,")}
        assert len(asked) == 1
        assert asked.pop().endswith(f"/{page}.html")


@each_page
def test_every_section_is_seen_in_both_themes_and_at_both_widths(looked_at, page):
    views = looked_at(page)["views"]
    assert {(view["theme"], view["device"]) for view in views} == {
        ("light", "desktop"), ("light", "phone"), ("dark", "desktop"), ("dark", "phone"),
    }  # fmt: skip
    for view in views:
        assert view["sections"]
        for section in view["sections"]:
            assert section["height"] > 40, section
            assert section["heading"]
            assert section["text"] > len(section["heading"]) + 10


@each_page
def test_no_page_scrolls_sideways(looked_at, page):
    assert [view["sideways"] for view in looked_at(page)["views"]] == [0] * 4


@each_page
def test_the_theme_follows_the_system_and_the_switch(looked_at, page):
    views = looked_at(page)["views"]
    papers = {(view["theme"], view["paper"]) for view in views}
    assert len(papers) == 2
    (switched,) = (view["switched"] for view in views if "switched" in view)
    assert ("dark", switched) in papers


@each_page
def test_axe_finds_no_violation(looked_at, page):
    assert [view["violations"] for view in looked_at(page)["views"]] == [[]] * 4


@each_page
def test_charts_are_drawn_when_asked_for_and_the_still_ones_are_printed(looked_at, page):
    (explored,) = (view["explored"] for view in looked_at(page)["views"] if "explored" in view)
    assert explored
    for chart in explored:
        assert chart["drawn"], chart
        assert 0 < chart["width"] <= chart["room"]
        assert chart["printed"]


@each_page
def test_the_keyboard_reaches_the_switch_every_chart_and_every_table(looked_at, page):
    (view,) = (view for view in looked_at(page)["views"] if "stops" in view)
    stops = view["stops"]
    assert stops[:2] == ["a Skip to the report", "button theme"]
    assert sum(one.startswith("a ") for one in stops) == 1 + len(view["sections"])
    assert sum(one.startswith("button Explore: ") for one in stops) == len(view["explored"])
    assert sum(one.startswith("div ") for one in stops) >= len(view["explored"])


def test_without_scripts_all_is_told(looked_at):
    said = looked_at("prune")["unscripted"]["text"]
    for text in (
        "50.0% of the parameters are gone", "conv.weight", "3 kept, 0 frozen, 1 removed",
        "score: 3 channels that stay, 1 that went", "from 50.00% to 2.00%",
        "difference of worst: a picture.png", "Graph of 2 layer widths and 2 lines",
        "change of max F of 2 cuts, by the share of parameters removed", "2.00 ms, 1.00 ms",
        "singular values of map, falling from 1 to 0",
    ):  # fmt: skip
        assert text in said, text
    assert "Explore" not in said
