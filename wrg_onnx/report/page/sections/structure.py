"""Which layer widths depend on which."""

from __future__ import annotations

from wrg_onnx.report.details import Details
from wrg_onnx.report.page.parts import Figure, Legend, Section, Table, missing
from wrg_onnx.report.page.plots.flow import flow


def structure(details: Details | None) -> Section:
    """Draw the graph of layer widths."""
    name, title = "structure", "Structure"
    found = None if details is None else details.structure
    if found is None or not found.nodes:
        return missing(name, title, "This run has no graph of layer widths.")
    feeds: dict[int, list[str]] = {}
    for one in found.edges:
        feeds.setdefault(one.source, []).append(found.nodes[one.target].name)
    rows = tuple(
        (node.name, f"{node.units:,}", f"{node.kept:,}", f"{node.constants:,}",
         ", ".join(feeds.get(number, ())))
        for number, node in enumerate(found.nodes)
    )  # fmt: skip
    left = f" {found.edges_left:,} more lines are not drawn." if found.edges_left else ""
    titles = ("layer width", "channels", "stay", "constants", "feeds")
    figure = Figure(
        "structure-drawn", "Layer widths, and what is made of them",
        flow(found, f"Graph of {len(found.nodes)} layer widths and {len(found.edges)} lines"),
        "A box is one width: channels that live or die together, over all constants they are in. "
        f"A line leads to a width that is made from it.{left}",
        Legend((("kept", "stays"), ("gone", "went"))), None,
        Table("The same as a table", titles, rows, words=frozenset({4}), folded=True),
    )  # fmt: skip
    return Section(name, title, (figure,))
