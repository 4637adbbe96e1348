"""The bench of speed: what it says of figures."""

from __future__ import annotations

import pytest

from bench_speed import Row, table, verdicts


def row(cut, macs, speedup, spread=0.05):
    return Row("Net", cut, macs, 10.0, (speedup, speedup - spread, speedup + spread))


def said(aligned, plain, faster):
    rows = [
        row("original", 1.0, 1.0),
        row("-50% MACs", 2.0, plain),
        row("-50% MACs, aligned", 2.0, aligned),
        row("-40% time", 1.8, faster),
    ]
    return [line.rsplit(": ", 1)[1] for line in verdicts(rows)]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ((1.7, 1.5, 1 / 0.6), ["met", "met", "met"]),
        ((1.6, 1.5, 1 / 0.6), ["NOT met", "met", "met"]),
        ((1.7, 1.85, 1 / 0.6), ["met", "NOT met", "met"]),
        ((1.7, 1.5, 1 / 0.65), ["met", "met", "NOT met"]),
        ((1.7, 1.75, 1 / 0.58), ["met", "met", "met"]),
    ],
)
def test_targets_are_met_or_not_by_the_figures(figures, expected):
    assert said(*figures) == expected


def test_a_table_shows_each_cut_with_its_interval_and_what_it_realises():
    lines = table([row("-50% MACs", 2.0, 1.5)]).splitlines()
    assert lines[0].startswith("| network | cut |")
    assert lines[2] == "| Net | -50% MACs | 2.00x | 10.00 | 1.50x (1.45 to 1.55) | 0.75 |"
