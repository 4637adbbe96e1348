"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from wrg_onnx.channels import Limits
from wrg_onnx.graph.session import Provider
from wrg_onnx.pipeline.config import DataOptions

Function = TypeVar("Function", bound=Callable[..., Any])
Kind = TypeVar("Kind", bound=enum.Enum)


class EnumChoice(click.Choice[str]):
    """A choice among the values of an enum, and other names that the enum knows."""

    def __init__(self, kind: type[enum.Enum], others: Iterable[str] = ()) -> None:
        super().__init__([*(member.value for member in kind), *others])
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        return (
            value if isinstance(value, self.kind) else self.kind(super().convert(value, param, ctx))
        )


class Sides(click.ParamType[tuple[int, int]]):
    """``224`` or ``240x320``: height and width in pixels."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
        parts = str(value).split("x")
        if isinstance(value, tuple):
            return value
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


class InputShape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """``state=2x1x128``: the shape of one input."""

    name = "NAME=AxB"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what was expected."""
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
        name, _, number = str(value).rpartition("=")
        try:
            found = float(number)
        except ValueError:
            found = float("nan")
        if not name or not math.isfinite(found):
            self.fail(f"expected an input and a number such as sr=16000, got '{value}'", param, ctx)
        return name, found


MODEL = click.Path(path_type=Path)
"""Existence is checked by the loader, whose message says more."""


def input_options(function: Function) -> Function:
    """Add the options that say how inputs are fed: an image, and others."""
    for option in reversed(
        (
            click.option(
                "--size", type=Sides(), metavar="HxW",
                help="Size of an image input that leaves it open. [224]",
            ),
            click.option("--scale", type=float, help="Multiplies the pixel, 0 to 255. [1/255]"),
            click.option(
                "--mean", type=Numbers(), help="Subtracted per channel. [ImageNet, gray: 0]"
            ),
            click.option(
                "--std", type=Numbers(), help="Divided by per channel. [ImageNet, gray: 1]"
            ),
            click.option("--order", type=click.Choice(["rgb", "bgr"]), help="Colour order. [rgb]"),
            click.option(
                "--layout", type=click.Choice(["NCHW", "NHWC"]),
                help="Where the channels are. [from the shape]",
            ),
            click.option(
                "--shape", type=InputShape(), multiple=True, metavar="NAME=AxB",
                help="Shape of an input that leaves sizes open. [1, image 224x224, else 16]",
            ),
            click.option(
                "--value", type=InputNumber(), multiple=True, metavar="NAME=NUMBER",
                help="What fills an input that would be random.",
            ),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def data_options(function: Function) -> Function:
    """Add the options that say where samples come from."""
    function = input_options(function)
    function = click.option(
        "--samples", type=click.IntRange(min=1), default=32, show_default=True,
        help="How many samples statistics are taken from, at most.",
    )(function)  # fmt: skip
    return click.option(
        "--data", type=click.Path(path_type=Path),
        help="Folder with images/ and maybe masks/, or with .npz files. [built-in generator]",
    )(function)  # fmt: skip


def limit_options(function: Function) -> Function:
    """Add the options that say what to leave alone."""
    for option in reversed(
        (
            click.option(
                "--keep", multiple=True, metavar="GLOB",
                help="Leave matching nodes or weights whole.",
            ),
            click.option(
                "--only", multiple=True, metavar="GLOB", help="Prune only the layers that match."
            ),
            click.option(
                "--head-dims", is_flag=True,
                help="Thin out attention heads instead of removing whole ones.",
            ),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def read_limits(values: dict[str, Any]) -> Limits:
    """Build the record from the values of ``limit_options``; takes them out."""
    return Limits(values.pop("keep"), values.pop("only"), values.pop("head_dims"))


def run_options(function: Function) -> Function:
    """Add the options that every command has."""
    for option in reversed(
        (
            click.option(
                "--provider", type=EnumChoice(Provider), default=Provider.AUTO.value,
                show_default=True, help="Where ONNX Runtime computes.",
            ),
            click.option(
                "--seed", type=click.IntRange(min=0), default=0, show_default=True,
                help="Seed of everything random.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


def read_data_options(values: dict[str, Any]) -> DataOptions:
    """Build the record from the values of ``data_options`` or ``input_options``; takes them out."""
    names = ("size", "scale", "mean", "std", "order", "layout")
    chosen = {name: values.pop(name) for name in names}
    return DataOptions(
        path=values.pop("data", None),
        samples=values.pop("samples", 32),
        shapes=dict(values.pop("shape")),
        values=dict(values.pop("value")),
        **chosen,
    )
