"""The pictures of the pages: drawn from runs, to be read on a phone, in the dark and by ear."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import draw_pictures as tool
from pictures.factors import draw_factors
from pictures.frame import WIDTH
from pictures.proof import draw_proof
from pictures.recovery import draw_recovery
from wrg_onnx.recover.outcome import LayerFit
from wrg_onnx.report.details import LayerDetail, UnitNumbers

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
NAMES = sorted(tool.PICTURES)


def layer(**changes):
    numbers = {"w": (0.5, 2.0), "r": (1.0, 1.0), "g": (0.0, 4.0), "scores": (0.0, 8.0)}
    each = {name: UnitNumbers(each=values) for name, values in {**numbers, **changes}.items()}
    return LayerDetail("a.weight", 2, 1, 2, 9, alive=(False, True), **each)


def drawn(picture):
    root = ET.fromstring(picture.svg())  # noqa: S314 - our own
    return root, [(one.text, dict(one.attrib)) for one in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_there_says_what_it_shows_and_is_narrow_enough_for_a_phone(name):
    root = ET.parse(tool.FOLDER / f"{name}.svg").getroot()  # noqa: S314 - our own
    assert root.get("viewBox").split()[2] == root.get("width") == str(WIDTH)
    assert root.find(f"{SVG}title").text
    assert len(root.find(f"{SVG}desc").text) > 80
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text
    letters = re.findall(r"font(?:-size)?: (\d+)px", root.find(f"{SVG}style").text)
    assert min(map(int, letters)) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_each_stands_on_a_page_with_words_in_its_place(name):
    found = [
        words
        for page in (ROOT / "docs").rglob("*.md")
        for words in re.findall(rf"!\[(.*?)\]\(images/{name}\.svg\)", page.read_text("utf-8"))
    ]
    assert len(found) == 1
    assert len(found[0]) > 80


@pytest.mark.parametrize("name", ["idea", "unit"])
def test_what_needs_no_images_is_that_of_the_analysis_as_it_is(name):
    assert tool.PICTURES[name]().svg() == (tool.FOLDER / f"{name}.svg").read_text(encoding="utf-8")


def test_the_proof_lets_the_cut_pass_and_sees_one_channel_taken_for_another():
    says = tool.proof().says
    right, noticed = re.search(r"differ by (\S+) at most.*another (\d+) differ", says).groups()
    assert float(right) < 1e-5
    assert int(noticed) > 10


def test_a_channel_is_a_line_and_one_that_goes_has_the_other_tone():
    root, _ = drawn(draw_factors(layer()))
    assert [one.get("class") for one in root.iter(f"{SVG}polyline")] == ["way a", "way b"]


def test_a_factor_that_is_zero_is_drawn_at_the_low_end():
    assert "G from 0.0001 to 4" in draw_factors(layer()).says


def test_a_layer_whose_channels_have_no_numbers_is_refused():
    with pytest.raises(ValueError, match=r"a\.weight has no g of each channel"):
        draw_factors(layer(g=()))


def test_a_layer_that_was_not_measured_is_left_out_of_the_recovery():
    fits = [LayerFit("a", 0.1, 0.01, 1.0, 8, 8), LayerFit("b", None, None, None, 8, 8)]
    picture = draw_recovery(fits)
    _, texts = drawn(picture)
    assert "1 layers" in picture.says
    assert "from 10.0% to 1.0%" in picture.says
    assert "b" not in [words for words, _ in texts]


def test_names_are_escaped_and_cut_in_their_middles():
    name = "<a&b>" + 40 * "x" + "end"
    _, texts = drawn(draw_proof({name: 0.0}, {name: 1.0}, 1e-4))
    (said,) = [words for words, _ in texts if words.startswith("<a&b>")]
    assert said.endswith("end")
    assert len(said) < 20
