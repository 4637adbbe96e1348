"""Values of options among a few, and commands among a few: what is none may be meant for one."""

from __future__ import annotations

from typing import Any

import click

from wrg_onnx.nearest import did_you_mean


class Choice(click.Choice[str]):
    """A choice among texts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take one of them, or fail with all of them and the one that may be meant."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            meant = did_you_mean(str(value), map(str, self.choices))
            self.fail(f"{error.message.removesuffix('.')}{meant}", param, ctx)


class Group(click.Group):
    """A group of commands. One that is none may be meant for one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first argument, or fail with the one that may be meant."""
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command '{name}'{did_you_mean(name, known)}", ctx)
        return super().resolve_command(ctx, args)
