"""Sessions that note how long each kernel takes, by the tensors that it makes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wrg_onnx.choices import Provider
from wrg_onnx.errors import DataError
from wrg_onnx.files import scratch_folder
from wrg_onnx.graph.message import without_weights
from wrg_onnx.graph.model import Array, Graph
from wrg_onnx.graph.session import Session, start_session

_KERNEL = "_kernel_time"
"""How the names of those events end that are the time of a kernel."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel of one run.

    Attributes:
        name: The node's name in what ONNX Runtime made of the graph. Of a node of the file it is
            its first output; ONNX Runtime appends to it, or makes up a name for what it adds, such
            as conversions of layout.
        microseconds: How long it took.
    """

    name: str
    microseconds: float


@dataclass(frozen=True, slots=True, eq=False)
class ProfiledSession:
    """A session that notes times.

    Attributes:
        session: The session.
    """

    session: Session

    def run(self, feeds: Mapping[str, Array]) -> None:
        """Run once; what comes out is not looked at.

        Raises:
            DataError: If ONNX Runtime refuses the feeds, or fails on them.
        """
        self.session.run(feeds)

    def finish(self) -> tuple[tuple[Kernel, ...], ...]:
        """End it; of each run return its kernels in the order in which they ran."""
        path = Path(self.session.engine.end_profiling())
        events = json.loads(path.read_text())
        ends = sorted(e["ts"] + e["dur"] for e in events if e["name"] == "model_run")
        kernels = sorted(
            (e["ts"], e["name"].removesuffix(_KERNEL), e["dur"])
            for e in events
            if e.get("cat") == "Node" and e["name"].endswith(_KERNEL)
        )
        runs: list[list[Kernel]] = [[] for _ in ends]
        number = 0
        for start, name, duration in kernels:
            while number < len(ends) and start > ends[number]:
                number += 1
            if number == len(ends):
                break  # of a run that did not end
            runs[number].append(Kernel(name, float(duration)))
        return tuple(map(tuple, runs))


@contextmanager
def profiled_session(graph: Graph, provider: Provider) -> Iterator[ProfiledSession]:
    """Open a session that notes times; its file is gone once the block ends.

    Args:
        graph: The model.
        provider: Where to compute.

    Raises:
        ModelError: If ONNX Runtime refuses the model.
        MissingPackageError: If ONNX Runtime is not installed.
    """
    model, absent = without_weights(graph, for_session=True)
    for node in model.graph.node:
        # Names of nodes may be missing or given twice; those of tensors are not.
        node.name = next((name for name in node.output if name), node.name)
    weights = {name: graph.constants.entries[name] for name in absent}
    outputs = tuple(value.name for value in graph.outputs)
    with scratch_folder() as folder:
        session = start_session(
            model, weights, outputs, graph.name, provider=provider, widened=graph.widened,
            profile=folder / "profile",
        )  # fmt: skip
        yield ProfiledSession(session)


def check_profiled(runs: Sequence[Sequence[Kernel]], label: str) -> None:
    """Refuse a profile without kernels.

    Raises:
        DataError: If ONNX Runtime noted none.
    """
    if not any(runs):
        raise DataError(f"'{label}': ONNX Runtime notes no times of its kernels here")
