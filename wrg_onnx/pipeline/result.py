"""What a run returns: its report, and the model where it makes one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import os

    import onnx

    from wrg_onnx.graph import Graph

Report = TypeVar("Report")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result(Generic[Report]):
    """What a run found out. ``print`` shows what the command prints.

    Attributes:
        report: Every figure and note, as a record.
    """

    report: Report

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values: what the command prints with ``--json``.

        Infinity and NaN, which JSON does not know, are None.
        """
        from wrg_onnx.report import to_plain

        return to_plain(self.report)

    def to_html(self) -> str:
        """Return the report as one HTML page: it loads nothing, and is read without scripts, too.

        There is such a page of ``prune``, ``sweep`` and ``validate``.

        Raises:
            UsageError: If the report is of another function.
        """
        from wrg_onnx.report.page import to_html

        return to_html(self.report)

    def __str__(self) -> str:
        from wrg_onnx.report import to_text

        return to_text(self.report)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with a {type(self.report).__name__}>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelResult(Result[Report]):
    """A model that a run made, and what the run found out.

    Attributes:
        report: Every figure and note, as a record.
        held: The model in memory, or the file that holds it.
    """

    held: Graph | Path

    @property
    def model(self) -> onnx.ModelProto:
        """The model as an ONNX message with its weights. Each access makes a new one.

        Raises:
            ModelError: If it was left in a file, which cannot be read any more.
        """
        from wrg_onnx.graph import to_message

        return to_message(self._graph())

    def save(
        self, path: str | os.PathLike[str], *, external_data: bool = False, force: bool = False
    ) -> int:
        """Write the model, after the ONNX checker passed. The file appears whole or not at all.

        Args:
            path: A file that ends in ``.onnx``; missing folders are made.
            external_data: Whether the weights go to ``NAME.data`` beside it; they do so anyway if
                they have 2 GiB or more.
            force: Whether an existing file may be replaced.

        Returns:
            The size of the model with its weights, in bytes.

        Raises:
            OutputError: If the path is taken or cannot be written, or the checker refuses it.
            UsageError: If the name does not end in ``.onnx``.
        """
        from wrg_onnx.graph import check_model_output, save

        check_model_output(Path(path), external_data=external_data, force=force)
        return save(self._graph(), Path(path), force=force, external_data=external_data)

    def _graph(self) -> Graph:
        from wrg_onnx.graph import load

        return load(self.held) if isinstance(self.held, Path) else self.held
