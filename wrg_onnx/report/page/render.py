"""A page as one HTML file: the templates, the style sheet and the scripts, put together."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wrg_onnx.report.page.parts import Figure, Page
from wrg_onnx.report.page.policy import policy
from wrg_onnx.version import __version__

TONES = (
    "ink", "quiet", "line", "kept", "gone", "held", "before", "cut", "after",
    *(f"curve-{number}" for number in range(1, 8)),
)  # fmt: skip
"""Classes of the style sheet whose colours charts take."""


def render(page: Page) -> str:
    """Return a page as HTML that needs nothing beside it.

    What draws charts is in it only if there is one to draw.
    """
    has_charts = any(
        isinstance(part, Figure) and part.chart is not None
        for section in page.sections
        for part in section.parts
    )
    charts = _static("charts.min.js") if has_charts else ""
    style, script = _static("page.css"), _static("page.js")
    return _environment().get_template("page.html").render(
        page=page,
        policy=policy([charts, script] if has_charts else [script], [style]),
        style=Markup(style),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - ours
        charts=Markup(charts),  # noqa: S704 - ours
        notices=_static("NOTICES.txt"),
        tones=TONES,
        version=__version__,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("wrg_onnx.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _static(name: str) -> str:
    return (files("wrg_onnx.report.page") / "static" / name).read_text(encoding="utf-8")
