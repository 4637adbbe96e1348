"""What stands beside a stage on stderr: of parts that are counted, and of one that has none."""

from __future__ import annotations

from rich.progress import MofNCompleteColumn, Task, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


class Count(MofNCompleteColumn):
    """How many parts are done, and of how many; of a stage without parts that it goes on."""

    TURNS = "|/-\\"
    """One after the other, four a second: they turn."""

    def render(self, task: Task) -> Text:
        """Return it for one stage."""
        if task.total is None:
            return Text(self.TURNS[int(4 * (task.elapsed or 0.0)) % 4], style="progress.download")
        return super().render(task)


class TimeLeft(TimeRemainingColumn):
    """How long it takes still; nobody knows that of a stage without parts.

    Args:
        or_elapsed: Whether that tells how long it has taken, where no other column does.
    """

    def __init__(self, *, or_elapsed: bool = True) -> None:
        super().__init__()
        self._elapsed = TimeElapsedColumn() if or_elapsed else None

    def render(self, task: Task) -> Text:
        """Return it for one stage."""
        if task.total is None:
            return Text("") if self._elapsed is None else self._elapsed.render(task)
        return super().render(task)
