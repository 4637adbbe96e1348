"""The errors a user can meet, as one small tree.

::

    WrgError                    exit code 1
    ├── UsageError              2: an option or argument is out of range
    ├── ModelError              the model file cannot be read, or is not a valid model
    ├── OutputError             the result cannot be written
    ├── DataError               images, masks or arrays are missing or do not fit
    ├── StatisticsError         a statistic is not a finite number
    ├── OutOfMemoryError        a stage needs more memory than there is; it says what needs less
    ├── BudgetError             the asked ratio cannot be reached
    ├── UnsupportedOperatorError   an operator has no differentiable twin
    ├── MissingPackageError     an optional package is not installed
    ├── ExtensionError          an installed package of others brings what cannot be used
    ├── ValidationError         3: the pruned graph does not compute what the masked original does
    └── UnfinishedError         4: the model is proven and written, but a stage after that failed

A message says what is wrong, where, what was expected against what was found, and the next step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from wrg_onnx.printable import printable


class WrgError(Exception):
    """Base of every error this package raises on purpose.

    An error of any kind goes from one process to another with its message and attributes. Its text
    is one printable line, whatever names of a model are in it; ``args`` has them as they are.
    """

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        return printable(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the kind with the message alone, and most kinds ask for more.
        return _revived, (type(self), self.args, self.__dict__)


def _revived(
    kind: type[WrgError], args: tuple[Any, ...], attributes: Mapping[str, Any]
) -> WrgError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class UsageError(WrgError):
    """An option or an argument is out of its range."""

    exit_code: ClassVar[int] = 2


class ModelError(WrgError):
    """The model file cannot be read, or what it holds is not a valid model."""


class OutputError(WrgError):
    """The result cannot be written."""


class DataError(WrgError):
    """Images, masks or arrays are missing, unreadable, or do not fit the model."""


class UnreadableError(DataError):
    """A file is not what its name says, is cut off, or cannot be opened."""


class StatisticsError(WrgError):
    """A statistic cannot be taken: it is not finite, or its shape changed between batches."""


class OutOfMemoryError(WrgError):
    """A stage of a run needs more memory than there is."""


class WorkerError(WrgError):
    """Another process of the same run is gone."""


class BudgetError(WrgError):
    """The asked ratio cannot be reached.

    Attributes:
        wanted: The share that was asked to be removed, in [0, 1).
        possible: The largest share that can be removed.
        frozen: The share that no selection can remove.
    """

    def __init__(self, message: str, *, wanted: float, possible: float, frozen: float) -> None:
        super().__init__(message)
        self.wanted = wanted
        self.possible = possible
        self.frozen = frozen


class UnsupportedOperatorError(WrgError):
    """An operator has no differentiable twin.

    Attributes:
        op: The operator's name, with its domain where it is not ``ai.onnx``.
        node: The name of the node that uses it.
    """

    def __init__(self, message: str, *, op: str, node: str) -> None:
        super().__init__(message)
        self.op = op
        self.node = node


class MissingPackageError(WrgError):
    """An optional package is needed and not installed.

    Args:
        package: The name to import, such as ``"torch"``.
        purpose: What needs it, such as ``"the criterion 'sel'"``.
        extra: The extra of this package that brings it, such as ``"torch"``.
        otherwise: A way to do without it, or an empty string.
    """

    def __init__(self, package: str, *, purpose: str, extra: str, otherwise: str = "") -> None:
        self.package = package
        self.extra = extra
        hint = f", or {otherwise}" if otherwise else ""
        super().__init__(
            f"{purpose} needs {package}, which is not installed: "
            f"pip install 'wrg-onnx[{extra}]'{hint}"
        )


@contextmanager
def needs_torch(purpose: str, *, otherwise: str = "") -> Iterator[None]:
    """Import what needs torch inside, and say so where it is not installed.

    Args:
        purpose: What needs it, such as ``"fine-tuning"``.
        otherwise: A way to do without it, or an empty string.

    Raises:
        MissingPackageError: If torch is not installed.
    """
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            raise
        raise MissingPackageError(
            "torch", purpose=purpose, extra="torch", otherwise=otherwise
        ) from error


class ExtensionError(WrgError):
    """What an installed package brings cannot be used: it fails, or its name is taken."""


class ValidationError(WrgError):
    """The pruned graph does not compute what the masked original computes.

    Attributes:
        error: The largest relative difference between the two graphs' outputs.
        tolerance: The largest one that would have passed.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, error: float, tolerance: float) -> None:
        super().__init__(message)
        self.error = error
        self.tolerance = tolerance


class UnfinishedError(WrgError):
    """A command's model is proven and written, but a stage after that failed.

    Python functions return the model and name such stages in ``report.unfinished``; commands print
    them, and then end with this.
    """

    exit_code: ClassVar[int] = 4


class ShareDone(Exception):  # noqa: N818 - it is no error
    """Ends the call in a process beside the first of several, which has done its share.

    The first process has the result.
    """


def one_line(error: BaseException | str, most: int = 240) -> str:
    """Return what another library's exception says, on one line of at most ``most`` characters."""
    return printable(" ".join(str(error).split()))[:most]


def spoken(error: BaseException) -> str:
    """Say what code of others raised: the class and what it says, or how it would end the program.

    A program that ends because a module was imported, or a function called, would end with the exit
    code of that, and without a word.
    """
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
        return f"it would end this program (SystemExit: {_text(code)})"
    said = _text(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _text(said: object) -> str:
    """Return what an object of others says of itself, on one line; their code says it."""
    try:
        return one_line(str(said))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - theirs, and of no more interest than the first
        return f"its text cannot be read ({type(error).__name__})"
