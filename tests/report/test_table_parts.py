"""How a table fits a terminal: as columns, or row below row."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from wrg_onnx.report.table_parts import table_of


def show(table, width):
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, markup=False).print(table)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert all(len(line) <= width for line in lines)
    return lines


def widths_of_layers():
    table = table_of("layer width", "units", "parameters per unit")
    table.add_row(Text("stage.0.block.1.conv.weight"), "128", "3,725")
    table.add_row(Text("head"), "1", "2")
    return table


def test_a_wide_terminal_shows_columns():
    assert show(widths_of_layers(), 60) == [
        "layer width                  units  parameters per unit",
        "stage.0.block.1.conv.weight    128                3,725",
        "head                             1                    2",
    ]


def test_a_narrow_terminal_tears_no_word_into_three():
    table = table_of("why units stay", "units", "they hold")
    table.add_row(Text(f"MatMul '{'n' * 58}' meets it"), "3072", "9%")
    assert show(table, 40) == [
        "why units stay", "MatMul", "'" + "n" * 39, "n" * 19 + "' meets it",
        "  units 3072, they hold 9%",
    ]  # fmt: skip
    assert "units 3072" not in " ".join(show(table, 70))


def test_figures_stay_whole_where_names_and_titles_are_folded():
    assert show(widths_of_layers(), 46) == [
        "                                    parameters",
        "layer width                  units    per unit",
        "stage.0.block.1.conv.weight    128       3,725",
        "head                             1           2",
    ]
    assert show(widths_of_layers(), 40) == [
        "                              parameters",
        "layer width            units    per unit",
        "stage.0.block.1.conv.    128       3,725",
        "weight",
        "head                       1           2",
    ]


def test_a_narrow_terminal_shows_row_below_row():
    assert show(widths_of_layers(), 28) == [
        "layer width",
        "stage.0.block.1.conv.weight",
        "  units 128,",
        "  parameters per unit 3,725",
        "head",
        "  units 1,",
        "  parameters per unit 2",
    ]


def test_cells_that_are_empty_are_left_out_below_a_name():
    table = table_of("", "before", "after", "change")
    table.add_row(Text("relative error of 'a_long_output'"), "", "0.123", "")
    table.add_row(Text("nothing"), "", "", "")
    assert show(table, 24) == ["relative error of", "'a_long_output'", "  after 0.123", "nothing"]


def test_words_are_folded_and_wrapped_below_a_name():
    table = table_of("layer", "ms", "why", words=1)
    table.add_row(Text("convolution_1"), "1.02", Text("38 channels, no multiple of 4"))
    assert show(table, 40) == [
        "layer            ms  why",
        "convolution_1  1.02  38 channels, no",
        "                     multiple of 4",
    ]
    assert show(table, 24) == [
        "layer",
        "convolution_1",
        "  ms 1.02,",
        "  why 38 channels, no",
        "  multiple of 4",
    ]


def test_a_name_is_no_markup_and_may_have_lines():
    table = table_of("", "n")
    table.add_row(Text("[bold]x[/bold]\n  way out: --head-dims"), "1,000,000,000,000")
    assert show(table, 25) == ["[bold]x[/bold]", "  way out: --head-dims", "  n 1,000,000,000,000"]


@pytest.mark.parametrize("width", range(20, 90, 7))
def test_no_figure_is_cut_at_any_width(width):
    table = table_of("", *"abcdefg", "", words=1)
    figures = ["138.36 M", "-100.0%", "12345.67 ms", "[0.123, 0.456]"]
    table.add_row(Text("latency cpu, median"), *figures, "", "1", "2", Text("knee"))
    shown = " ".join(" ".join(show(table, width)).split())
    for figure in (*figures, "knee"):
        assert figure in shown
