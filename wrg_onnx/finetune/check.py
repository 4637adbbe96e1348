"""Whether ONNX Runtime computes what the torch twin was trained to."""

from __future__ import annotations

import numpy as np

from wrg_onnx.data.dataset import Sample
from wrg_onnx.errors import ValidationError
from wrg_onnx.finetune.options import Finetuned
from wrg_onnx.graph import Graph, open_session, relative_difference

TOLERANCE = 1e-3
"""How far ONNX Runtime may be from the torch twin, relative to the largest value."""

HALF_TOLERANCE = 10 * float(np.finfo(np.float16).eps)
"""The same for float16, 9.8e-3: ten of its steps, as in the proof of the surgery.

Of 74 networks that were written in float16 the median was off by 3.6e-4, the farthest by 1.1e-3.
"""

SMALLEST = 1e-3
"""What the largest value is taken for at least: a map of nothing holds rounding alone."""


def check_twin(student: Graph, tuned: Finetuned, sample: Sample) -> float:
    """Hold ONNX Runtime against the torch twin on one sample.

    Args:
        student: The model before training.
        tuned: What training made of it.
        sample: What both are fed.

    Returns:
        The largest difference in any output, relative to its largest value.

    Raises:
        ValidationError: If it is above 1e-3, in float16 9.8e-3, and above twice what rounding does:
            what ONNX Runtime's own optimiser changes, or how far the twin was from it before
            training. That is much in a quantised model, and where an output is of nearly nothing.
    """
    wanted = tuned.run(sample.feeds)
    found = open_session(tuned.graph, outputs=list(wanted)).run(sample.feeds)
    errors = {
        name: relative_difference(values, found[name], least=SMALLEST)
        for name, values in wanted.items()
    }
    allowed = allowed_error(tuned)
    suspects = [name for name, error in errors.items() if not error <= allowed]
    if suspects:
        plain = open_session(tuned.graph, outputs=suspects, exact=True).run(sample.feeds)
        untrained = open_session(student, outputs=suspects).run(sample.feeds)
        start = tuned.start(sample.feeds)
    for name in suspects:
        rounding = max(
            relative_difference(plain[name], found[name], least=SMALLEST),
            relative_difference(start[name], untrained[name], least=SMALLEST),
        )
        tolerance = max(allowed, 2 * rounding)
        if not errors[name] <= tolerance:
            raise ValidationError(
                f"output '{name}' of the fine-tuned model differs from what was trained by "
                f"{errors[name]:.1e} of its maximum in ONNX Runtime, expected at most "
                f"{tolerance:.0e}; nothing was written",
                error=errors[name],
                tolerance=tolerance,
            )
    return max(errors.values(), default=0.0)


def allowed_error(tuned: Finetuned) -> float:
    """Return how far ONNX Runtime may be from the twin, relative to the largest value."""
    return HALF_TOLERANCE if tuned.is_half else TOLERANCE
