"""``wrg-onnx report``."""

from __future__ import annotations

from typing import Any

import click

import wrg_onnx
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.options import JSON_OPTION, PATH
from wrg_onnx.cli.output import emit

EXAMPLES = """\b
Examples:
  wrg-onnx prune model.onnx --ratio 0.6 --details --json > run.json
  wrg-onnx report run.json
  wrg-onnx report run.json other.json -o both.html
"""


@click.command("report", cls=Command, epilog=EXAMPLES, short_help="Show a run again, as a page.")
@click.argument("run", type=PATH)
@click.argument("other", type=PATH, required=False)
@click.option("-o", "--output", type=PATH, metavar="FILE.html", help="The page. [RUN with .html]")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@JSON_OPTION
def report_command(*, as_json: bool, **options: Any) -> None:
    """Write the page of RUN, the JSON that prune, sweep or validate printed.

    With OTHER two prunings stand side by side. The page is one file that loads nothing; what a run
    did not keep, such as pictures without --details, it says so.
    """
    emit(wrg_onnx.report(**options), as_json=as_json)
