"""Whether ONNX Runtime computes of an exported file what torch computed of the module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wrg_onnx.errors import ModelError, one_line, spoken
from wrg_onnx.export.state_dict import first_names
from wrg_onnx.graph.difference import relative_difference
from wrg_onnx.graph.session import runtime

TOLERANCE = 1e-4
"""Largest difference between torch and ONNX Runtime, relative to the output's largest value."""

SMALLEST = 2 * 2**-23 / TOLERANCE
"""What the largest value is taken for at least: less than two roundings of a float32 of 1 between
two sigmoids says nothing, since ONNX Runtime's is a quotient plus 0.5."""

_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class TorchRun:
    """Random inputs, and what the module makes of them."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def random_sample(shapes: Sequence[tuple[int, ...]], batch: int | None) -> tuple[Tensor, ...]:
    """Draw a float32 input of each shape, under a fixed seed.

    Args:
        shapes: One shape for each input, the batch first.
        batch: The batch in place of that of the shapes; None leaves it.
    """
    random = torch.Generator().manual_seed(_SEED)
    return tuple(
        torch.randn((shape[0] if batch is None else batch, *shape[1:]), generator=random)
        for shape in shapes
    )


def run_module(
    module: nn.Module, shapes: Sequence[tuple[int, ...]], batches: Sequence[int | None]
) -> tuple[TorchRun, ...]:
    """Run the module on random inputs, once at each batch.

    Raises:
        ModelError: If the module fails, or gives values that are not finite.
    """
    runs = []
    for batch in batches:
        sample = random_sample(shapes, batch)
        try:
            with torch.no_grad():
                outputs = _flatten(module(*sample))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ModelError(
                f"{type(module).__name__} fails in torch on inputs of {_shapes(sample)}: "
                f"{spoken(error)}"
            ) from error
        if not all(bool(output.isfinite().all()) for output in outputs):
            raise ModelError(
                f"{type(module).__name__} gives values that are not finite on random inputs of "
                f"{_shapes(sample)}: its weights are broken, or it needs inputs of another range"
            )
        runs.append(TorchRun(sample, tuple(outputs)))
    return tuple(runs)


def compare_outputs(path: Path, runs: Sequence[TorchRun], advice: str) -> float:
    """Run a file in ONNX Runtime on the inputs that torch had.

    Args:
        path: The exported file.
        runs: From ``run_module``.
        advice: What a message about a difference ends with.

    Returns:
        The largest difference, relative to its output's largest value.

    Raises:
        ModelError: If ONNX Runtime refuses the file or fails, or its outputs are others.
    """
    ort = runtime()
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    try:
        session = ort.InferenceSession(
            str(path),
            settings,
            providers=["CPUExecutionProvider"],
            enable_fallback=False,  # it would print on stdout, and try the same once more
        )
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelError(f"ONNX Runtime refuses what torch exported: {one_line(error)}") from error
    names = [value.name for value in session.get_inputs()]
    expected = len(runs[0].inputs)
    if len(names) != expected:
        raise ModelError(
            f"the exported model reads {len(names)} inputs ({first_names(names)}), "
            f"expected {expected}: an input without influence is dropped"
        )
    return max(_largest_difference(session, names, run, advice) for run in runs)


def _largest_difference(session: Any, names: Sequence[str], run: TorchRun, advice: str) -> float:
    feeds = {name: x.numpy() for name, x in zip(names, run.inputs, strict=True)}
    try:
        found = session.run(None, feeds)
    except Exception as error:
        raise ModelError(
            f"the exported model fails in ONNX Runtime on inputs of {_shapes(run.inputs)}: "
            f"{one_line(error)}{advice}"
        ) from error
    if len(found) != len(run.outputs):
        raise ModelError(
            f"the exported model has {len(found)} outputs, the module {len(run.outputs)}"
        )
    worst = 0.0
    for index, (ours, theirs) in enumerate(zip(found, run.outputs, strict=True)):
        wanted = theirs.detach().double().numpy()
        # Of an output of nearly nothing the distance itself is what counts: a saliency net that
        # sees no object in noise answers 1e-12 or 1e-4, and ONNX Runtime's sigmoid is right to
        # 1e-7 there.
        difference = relative_difference(wanted, ours, least=SMALLEST)
        if not difference <= TOLERANCE:
            raise ModelError(
                f"output {index} of the exported model differs from torch's by "
                f"{difference:.1e} of its maximum on inputs of {_shapes(run.inputs)}, "
                f"expected at most {TOLERANCE:.0e}{advice}"
            )
        worst = max(worst, difference)
    return worst


def _flatten(output: Any) -> list[Tensor]:
    """List the tensors of a module's output in the order the exporters keep."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, (tuple, list)):
        return [tensor for part in output for tensor in _flatten(part)]
    return []


def _shapes(sample: Sequence[Tensor]) -> str:
    return ", ".join("x".join(map(str, x.shape)) for x in sample)
