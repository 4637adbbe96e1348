"""The value of ``--criterion``."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from wrg_onnx.pipeline.api.arguments import criterion_names


class CriterionChoice(click.ParamType[str]):
    """A choice among all criteria, those included that were registered after this was made."""

    name = "choice"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """List the names."""
        return _choice().get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take a name, or fail with what was expected."""
        return _choice().convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a name."""
        return _choice().shell_complete(ctx, param, incomplete)


def _choice() -> click.Choice[str]:
    return click.Choice(criterion_names())
