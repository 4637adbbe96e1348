"""The value of ``--criterion``."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from wrg_onnx.nearest import did_you_mean
from wrg_onnx.pipeline.api.arguments import criterion_names, listed


class CriterionChoice(click.ParamType[str]):
    """A choice among all criteria, those included that were registered after this was made."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take a name, or fail with what was expected."""
        if ctx is not None and ctx.resilient_parsing:
            return str(value)  # of a line that a shell completes: to know all names takes numpy
        names = criterion_names()
        if value not in names:
            meant = did_you_mean(str(value), names)
            self.fail(f"'{value}' is not one of {listed(names)}{meant}", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a name."""
        return _choice().shell_complete(ctx, param, incomplete)


class CriterionOption(click.Option):
    """Lists the names of all criteria in its help: they are too many for the option's own line."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return what ``--help`` shows."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        option, text = record
        return option, f"One of {', '.join(criterion_names())}. {text}"


def _choice() -> click.Choice[str]:
    return click.Choice(criterion_names())
