"""Values of options that are names of what there is, and how a shell completes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem


class Known(click.ParamType[str]):
    """A name among those that there are, or another text: the API says what is wrong with that.

    Args:
        name: What the help calls it.
        known: Returns the names when a shell asks.
    """

    def __init__(self, name: str, known: Callable[[], Iterable[str]]) -> None:
        self.name, self._known = name, known

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click gives it
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete a name; large and small letters count alike."""
        begun = incomplete.lower()
        return [CompletionItem(one) for one in self._known() if one.lower().startswith(begun)]


class Names(Known):
    """Names with commas between, as the API reads them; a shell completes the last one."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the last of the names with one that is not among those before."""
        before, comma, begun = incomplete.rpartition(",")
        taken = before.split(",")
        return [
            CompletionItem(f"{before}{comma}{one.value}")
            for one in super().shell_complete(ctx, param, begun)
            if one.value not in taken
        ]


def _metrics() -> Iterable[str]:
    from wrg_onnx.pipeline.api.arguments import metric_names

    return metric_names()


def _criteria() -> Iterable[str]:
    from wrg_onnx.pipeline.api.arguments import criterion_names

    return criterion_names()


def _losses() -> Iterable[str]:
    """Return the losses of installed packages; functions of modules nobody can list."""
    from wrg_onnx.extensions import Kind, installed

    return sorted(installed(Kind.LOSS))


METRIC = Known("NAME", _metrics)

CRITERIA = Names("A,B", _criteria)

LOSS = Known("MODULE:FUNCTION|NAME", _losses)
