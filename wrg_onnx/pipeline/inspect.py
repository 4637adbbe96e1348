"""Find out what can be cut, and what stays and why."""

from __future__ import annotations

from wrg_onnx.channels import BoolArray, Limits
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, check_floor
from wrg_onnx.pipeline.nothing import why_nothing
from wrg_onnx.pipeline.result import Result
from wrg_onnx.pipeline.source import Source
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.frozen import frozen_reports
from wrg_onnx.report.records import InspectReport
from wrg_onnx.report.widths import group_reports
from wrg_onnx.select import Candidates, largest_ratio


def inspect(
    source: Source,
    options: DataOptions,
    limits: Limits,
    *,
    floor: float,
    strict: bool = False,
    progress: Progress = silent,
) -> Result[InspectReport]:
    """Find out what can be cut, and what stays and why.

    Args:
        source: The model.
        options: Tells the size of an image input that leaves it open.
        limits: What to leave alone.
        floor: Share of each layer width that stays at least.
        strict: Whether an operator without a rule is an error.
        progress: Told which stage begins.

    Raises:
        WrgError: One of its kinds.
    """
    check_floor(floor)
    progress("analyse", 0, 0)
    model = analyse(source, options, limits, strict=strict, progress=progress)
    units = model.units
    budget = model.budget(BudgetKind.PARAMS)

    def most(removable: BoolArray) -> float:
        return largest_ratio(Candidates(removable, units.group, floor), budget)

    progress("reasons", 0, 0)
    choices = {
        analysed.call.node.name: analysed.choice
        for analysed in units.nodes.values()
        if analysed.choice
    }
    report = InspectReport(
        model=model.graph.name,
        cost=model.cost(model.everything, model.file_bytes),
        groups=group_reports(units, model.parameters, model.everything),
        frozen=frozen_reports(units, model.parameters, most),
        frozen_share=model.frozen_share,
        largest_ratio=most(units.removable),
        choices=choices,
        sizes=dict(model.input_shapes),
        nothing=why_nothing(model),
    )
    return Result(report)
