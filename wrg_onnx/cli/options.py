"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import enum
import inspect
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from wrg_onnx.choices import Provider
from wrg_onnx.cli.choice import Choice
from wrg_onnx.cli.verbose import VERBOSE_OPTION

Function = TypeVar("Function", bound=Callable[..., Any])


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of a function of the API by parameter: those of its command's options."""
    return {name: found.default for name, found in inspect.signature(function).parameters.items()}


def choice_of(kind: type[enum.Enum]) -> Choice:
    """Return a choice among the values of an enum."""
    return Choice([member.value for member in kind])


class ImageSize(click.ParamType[tuple[int, int]]):
    """``224`` or ``240x320``: height and width in pixels."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split("x")
        if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"expected a size such as 224 or 240x320, got '{value}'", param, ctx)
        return int(parts[0]), int(parts[-1])


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers separated by commas."""

    name = "A,B,C"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"expected numbers separated by commas, got '{value}'", param, ctx)


class Counts(click.ParamType[tuple[int, ...]]):
    """``1,8``: numbers of something, separated by commas."""

    name = "N,M"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"expected numbers from 1 on such as 1,8, got '{value}'", param, ctx)
        return tuple(int(part) for part in parts)


class Shape(click.ParamType[tuple[int, ...]]):
    """``1x3x224x224``."""

    name = "NxCxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split("x")
        if not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"expected a shape such as 1x3x224x224, got '{value}'", param, ctx)
        return tuple(int(part) for part in parts)


class Ratios(click.ParamType[str]):
    """Numbers and ranges with commas between, as the API reads them."""

    name = "A:B:STEP"


class InputShape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """``state=2x1x128``: the shape of one input."""

    name = "NAME=AxB"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        name, _, sizes = str(value).rpartition("=")
        parts = sizes.split("x")
        if not name or not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"expected an input and its shape such as x=1x512, got '{value}'", param, ctx)
        return name, tuple(int(part) for part in parts)


class InputNumber(click.ParamType[tuple[str, float]]):
    """``sr=16000``: what one input is filled with."""

    name = "NAME=NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        name, _, number = str(value).rpartition("=")
        try:
            found = float(number)
        except ValueError:
            found = float("nan")
        if not name or not math.isfinite(found):
            self.fail(f"expected an input and a number such as sr=16000, got '{value}'", param, ctx)
        return name, found


_SCALES = {
    "": 1, "K": 1e3, "M": 1e6, "G": 1e9, "KB": 1e3, "MB": 1e6, "GB": 1e9,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
"""What follows a number."""


class Amount(click.ParamType[float]):
    """``1.5M``, ``2G``, ``900KB`` or ``4MiB``: a count or a size."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if isinstance(value, (int, float)):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d*)?(?:e\+?\d+)?) ?([A-Za-z]*)", str(value).strip())
        if found is None or found[2] not in _SCALES:
            self.fail(f"expected a number such as 1500000, 1.5M or 4MiB, got '{value}'", param, ctx)
        return float(found[1]) * _SCALES[found[2]]


class Place(click.Path):
    """A folder, or ``NAME:WHERE`` of a data source: a text, since a path would change that."""


class Alignment(click.ParamType[int | str]):
    """``auto`` or a number of channels."""

    name = "auto|N"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click gives it
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete the one value that is a word."""
        return [CompletionItem("auto")] if "auto".startswith(incomplete) else []

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        if value == "auto" or isinstance(value, int):
            return value
        if not str(value).isdecimal() or not int(value):
            self.fail(f"expected auto or a number of channels such as 8, got '{value}'", param, ctx)
        return int(value)


def _as_table(
    _: click.Context, __: click.Parameter, pairs: Sequence[tuple[str, Any]]
) -> dict[str, Any] | None:
    """Make one table of what was given by input; None where nothing was."""
    return dict(pairs) or None


MODEL = click.Path(path_type=Path)
"""Existence is checked by the loader, whose message says more."""

PATH = click.Path(path_type=Path)

PLACE = Place()


def beside(model: Path, suffix: str) -> Path | None:
    """Return the path beside a model with another suffix, where the result goes by default.

    None where there is no name to derive one from, as of ``.``; it is no model either, as the
    loader says.
    """
    return model.with_suffix(suffix) if model.name else None


def add_options(options: Sequence[Callable[[Function], Function]], function: Function) -> Function:
    """Add options to a command, in the order of its help."""
    for option in reversed(options):
        function = option(function)
    return function


def input_options(function: Function) -> Function:
    """Add the options that say how inputs are fed: an image, and others."""
    options = (
        click.option(
            "--size", type=ImageSize(), metavar="HxW",
            help="Size of every image among the inputs that leaves it open. [224]",
        ),
        click.option("--scale", type=float, help="Multiplies the pixel, 0 to 255. [1/255]"),
        click.option("--mean", type=Numbers(), help="Subtracted per channel. [ImageNet, gray: 0]"),
        click.option("--std", type=Numbers(), help="Divided by per channel. [ImageNet, gray: 1]"),
        click.option("--order", type=Choice(["rgb", "bgr"]), help="Colour order. [rgb]"),
        click.option(
            "--layout", type=Choice(["NCHW", "NHWC"]),
            help="Where the channels are. [from the shape]",
        ),
        click.option(
            "--shape", type=InputShape(), multiple=True, metavar="NAME=AxB", callback=_as_table,
            help="Shape of an input that leaves sizes open. [1, image 224x224, else 16; others are "
            "tried where that does not run]",
        ),
        click.option(
            "--value", type=InputNumber(), multiple=True, metavar="NAME=NUMBER",
            callback=_as_table,
            help="What fills an input that would be random, and decides branches.",
        ),
    )  # fmt: skip
    return add_options(options, function)


def data_options(function: Function) -> Function:
    """Add the options that say where samples come from, and how they are fed."""
    options = (
        click.option(
            "--data", type=PLACE,
            help="Folder with images/ and maybe masks/, or with .npz files; or SOURCE:WHERE, if an "
            "installed package brings that source. [built-in generator]",
        ),
        click.option(
            "--samples", type=click.IntRange(min=1), default=32, show_default=True,
            help="How many samples statistics are taken from, at most.",
        ),
        input_options,
    )  # fmt: skip
    return add_options(options, function)


def limit_options(function: Function) -> Function:
    """Add the options that say what to leave alone."""
    options = (
        click.option(
            "--keep", multiple=True, metavar="GLOB",
            help="Leave nodes or weights of this name whole, or those that match.",
        ),
        click.option(
            "--only", multiple=True, metavar="GLOB",
            help="Prune only the layers of this name, or those that match.",
        ),
        click.option(
            "--head-dims", is_flag=True,
            help="Thin out attention heads instead of removing whole ones.",
        ),
        click.option(
            "--through-norms", is_flag=True,
            help="Let channels go that a normalisation takes its statistics over.",
        ),
    )  # fmt: skip
    return add_options(options, function)


JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def output_options(function: Function) -> Function:
    """Add the options that say how a command tells what it does, and what it found."""
    return add_options((JSON_OPTION, VERBOSE_OPTION), function)


SEED_OPTION = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True,
    help="Seed of everything random.",
)  # fmt: skip


def run_options(function: Function) -> Function:
    """Add the options of every command that runs a model."""
    options = (
        click.option(
            "--provider", type=choice_of(Provider), default=Provider.AUTO.value,
            show_default=True, help="Where ONNX Runtime computes.",
        ),
        SEED_OPTION,
        output_options,
    )  # fmt: skip
    return add_options(options, function)
