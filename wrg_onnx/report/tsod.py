"""What the two commands for tiny-object data say on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from wrg_onnx.report.table_parts import table_of
from wrg_onnx.tsod import FilterReport, MakeReport

MOST_NAMED = 5
"""How many files a text names; JSON has all."""


def make_text(report: MakeReport) -> RenderableType:
    """Show what a set of made images holds."""
    table = table_of("background", "images", "objects", "smallest", "median", "largest")
    for count in report.counts:
        table.add_row(
            count.background,
            f"{count.images:,}",
            f"{count.objects:,}",
            *(f"{share:.2%}" for share in (count.smallest, count.median, count.largest)),
        )
    title = (
        f"{report.output}: {report.images:,} images of {report.height}x{report.width} pixels, "
        f"seed {report.seed}"
    )
    return Group(
        Text(title, "bold"),
        table,
        Text("Smallest, median and largest share of an image that its objects cover."),
        _where(report.index, report.sheet, report.on_sheet),
    )


def filter_text(report: FilterReport) -> RenderableType:
    """Show what a filter kept, and what not and why."""
    options, total = report.options, report.counts[-1]
    table = table_of(
        "data set", "pairs", "kept", "larger", "smaller", "empty", "left out", "median"
    )
    single = len(report.counts) == 2
    for count in report.counts[: 1 if single else None]:
        table.add_row(
            Text(count.dataset),
            *(f"{n:,}" for n in (count.pairs, count.kept, count.larger, count.smaller)),
            *(f"{n:,}" for n in (count.empty, count.left_out)),
            "-" if count.median_area is None else f"{count.median_area:.2%}",
        )
    lines: list[RenderableType] = [
        Text(f"{report.source} -> {report.output}", "bold"),
        table,
        Text(
            f"Kept: objects that cover {options.min_area:.4g} to {options.max_area:.4g} of the "
            f"image; 'median' is of these."
        ),
    ]
    if total.not_binary:
        lines.append(
            Text(
                f"{total.not_binary:,} of {total.pairs - total.left_out:,} masks are not binary: "
                f"an object is what is {options.threshold} to 255, here and in the masks written."
            )
        )
    lines += [Text(f"Left out: {message}.", "yellow") for message in report.left_out[:MOST_NAMED]]
    if len(report.left_out) > MOST_NAMED:
        lines.append(Text(f"... and {len(report.left_out) - MOST_NAMED:,} more.", "yellow"))
    if report.unpaired:
        names = ", ".join(f"'{name}'" for name in report.unpaired[:MOST_NAMED])
        more = ", ..." if len(report.unpaired) > MOST_NAMED else ""
        lines.append(Text(f"Without a mask or an image of the same name: {names}{more}.", "yellow"))
    lines.append(_where(report.index, report.sheet, report.on_sheet))
    return Group(*lines)


def _where(index: str, sheet: str, on_sheet: int) -> Text:
    pictures = "1 image" if on_sheet == 1 else f"{on_sheet} images"
    return Text(f"Index: {index}. {pictures} to look at: {sheet}")
