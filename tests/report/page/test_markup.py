"""Elements and JSON that nothing in them breaks out of."""

from __future__ import annotations

import json

import pytest
from markupsafe import Markup
from paged import HOSTILE, Read

from wrg_onnx.report.page.embedded import embedded
from wrg_onnx.report.page.markup import middle_cut, tag


def test_an_element_has_its_attributes_and_children():
    found = tag("text", "a", tag("b", "c"), x=1.5, class_="tick", text_anchor="end", y=None)
    assert found == '<text x="1.5" class="tick" text-anchor="end">a<b>c</b></text>'
    assert isinstance(found, Markup)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_and_attributes_are_escaped(text):
    read = Read(tag("p", text, title=text))
    assert [name for name, _ in read.tags] == ["p"]
    assert read.of("p")[0]["title"] == text.replace("\x00", "\ufffd") or "\x00" in text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_json_in_a_page_is_the_same_json_without_a_letter_of_html(text):
    found = embedded({"name": text, text: [1.5, None, True]})
    assert json.loads(found) == {"name": text, text: [1.5, None, True]}
    assert not set("<>&") & set(found)
    assert found.isascii()


def test_numbers_that_json_does_not_know_become_null():
    assert embedded([float("nan"), float("inf"), 1.0]) == "[null,null,1.0]"


@pytest.mark.parametrize(
    ("text", "most", "cut"),
    [("short", 5, "short"), ("encoder.layer.weight", 10, "encod…ight"), ("abcdef", 3, "a…f")],
)
def test_a_long_name_loses_its_middle(text, most, cut):
    assert middle_cut(text, most) == cut
    assert len(cut) <= most
