"""Texts and numbers of details are short, whatever they were."""

from __future__ import annotations

import json
import math

import pytest

from wrg_onnx.report.details import MOST_LETTERS
from wrg_onnx.report.small import known, rounded, short_text


@pytest.mark.parametrize("text", ["", "conv1.weight", "x" * MOST_LETTERS, "\n" * 60])
def test_a_short_text_stays_as_it_is(text):
    assert short_text(text) == text


@pytest.mark.parametrize(
    "letter",
    ["x", "\x1b", "\u202e", "\u6f22", "\U0001f600", "\ud800"],
    ids=["ascii", "control", "direction", "han", "emoji", "half"],
)
def test_a_long_text_is_short_in_json_and_keeps_both_ends(letter):
    short = short_text("first" + letter * 10_000 + "last")
    assert MOST_LETTERS - 12 <= len(json.dumps(short)) - 2 <= MOST_LETTERS
    assert short.startswith("first")
    assert short.endswith("last")
    assert "[...]" in short


def test_numbers_have_four_significant_digits():
    assert [rounded(x) for x in (0.123456, 123456.0, -1.00004e-9, 0.0)] == [
        0.1235, 123500.0, -1e-9, 0.0,
    ]  # fmt: skip


def test_what_is_no_number_is_not_known():
    assert known([1.0, math.nan, math.inf, -math.inf, 0.5]) == (1.0, None, None, None, 0.5)
