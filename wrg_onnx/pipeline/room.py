"""How large outputs will be at least: what does not fit on a disk is refused before the work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wrg_onnx.channels import byte_terms, total_cost
from wrg_onnx.finetune import checkpoint_bytes
from wrg_onnx.finetune.options import CheckpointFile
from wrg_onnx.graph import Graph, file_bytes
from wrg_onnx.graph.save import data_path
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.config import BudgetKind, Precision, PruneConfig
from wrg_onnx.select import largest_ratio

SURE = 0.9
"""How much of what is expected of a file is taken for sure: counts are met by half a point, and
constants of different widths go in shares of their own."""

WIDTHS: Mapping[Precision | None, float] = {None: 1.0, Precision.HALF: 0.5, Precision.INT8: 0.25}
"""How wide the numbers of a file are beside those of float32."""


def least_bytes(model: Model, config: PruneConfig) -> float:
    """Return how many bytes the file of a pruned model will have at least.

    Args:
        model: The original, with the terms of its bytes.
        config: What goes. What a ratio of MACs, or a search, leaves of the bytes nobody knows
            before: then it is what is left if everything goes that may.
    """
    budget = model.budget(BudgetKind.BYTES)
    left = 1 - config.ratio
    if config.max_drop is not None or config.budget not in (BudgetKind.PARAMS, BudgetKind.BYTES):
        left = 1 - largest_ratio(model.candidates(config.floor), budget)
    weights = total_cost(byte_terms(model.units), model.everything)
    if model.file_bytes is not None:  # of a file that holds less: some are computed from others
        weights = min(weights, model.file_bytes)
    return SURE * left * WIDTHS[config.precision] * weights


def needs_of_prune(model: Model, config: PruneConfig, output: Path) -> dict[Path, float]:
    """Return how many bytes a run of `prune` needs at least, by file.

    Args:
        model: As for ``least_bytes``.
        config: What goes.
        output: Where the model goes.
    """
    return {output: least_bytes(model, config) + _copied(output, external=config.external_data)}


def needs_of_training(
    student: Graph, output: Path | None, checkpoint: CheckpointFile | None, *, external: bool
) -> dict[Path, float]:
    """Return how many bytes a run of `finetune` needs at least, by file.

    Args:
        student: The model that is trained.
        output: Where it goes; None for nowhere.
        checkpoint: Where the state of the run goes. Each is written beside the one before.
        external: Whether the weights go beside the output.
    """
    needs: dict[Path, float] = {}
    if output is not None:
        size = file_bytes(student, external_data=external)
        needs[output] = SURE * size + _copied(output, external=external)
    if checkpoint is not None:
        times = 1 if checkpoint.path.is_file() else 2
        needs[checkpoint.path] = SURE * times * checkpoint_bytes(student)
    return needs


def _copied(output: Path, *, external: bool) -> int:
    """Return the size of the weights that are copied while a model with others takes its place."""
    data = data_path(output)
    return data.stat().st_size if external and output.is_file() and data.is_file() else 0
