"""Held-out images, and what both models see in them."""

from __future__ import annotations

from wrg_onnx.report.details import Details, Example
from wrg_onnx.report.page.parts import Part, Section, Strip, Text, missing
from wrg_onnx.report.search import short, signed


def images(details: Details | None) -> Section:
    """Show the best, the median and the worst image."""
    name, title = "images", "What the maps look like"
    if details is None or details.examples is None or not details.examples.shown:
        return missing(
            name, title,
            "This run has no images to show: none was judged, or the model gives no saliency map.",
        )  # fmt: skip
    found = details.examples
    by = (
        "how much their own largest F-measure fell"
        if found.by == "max_f"
        else "the relative error of the output, since there are no masks"
    )
    white = found.shown[0].difference_white
    said = (
        f"Of {found.images:,} held-out images these are the best, the median and the worst, by "
        f"{by}. In the difference, white is {short(white)}."
    )
    parts: list[Part] = [Text(said), *map(_strip, found.shown)]
    return Section(name, title, tuple(parts))


def _strip(example: Example) -> Strip:
    pictures = [("input", example.input)]
    pictures += [] if example.mask is None else [("mask", example.mask)]
    pictures += [("original", example.original), ("pruned", example.pruned)]
    pictures.append(("difference", example.difference))
    return Strip(f"{example.place}: {example.name}", _scores(example), tuple(pictures))


def _scores(example: Example) -> str:
    said = []
    if example.max_f_before is not None and example.max_f_after is not None:
        before, after = example.max_f_before, example.max_f_after
        said.append(f"max F {short(before)} → {short(after)} ({signed(after - before)})")
    if example.mae_before is not None and example.mae_after is not None:
        said.append(f"MAE {short(example.mae_before)} → {short(example.mae_after)}")
    if example.error is not None:
        said.append(f"relative error {short(example.error)}")
    return ", ".join(said)
