"""The metrics by name: what a drop can be allowed in, and a sweep can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wrg_onnx.errors import DataError, UsageError
from wrg_onnx.nearest import did_you_mean


@dataclass(frozen=True, slots=True)
class Metric:
    """How good a model is, in one number.

    Attributes:
        name: The field of ``SaliencyScores``, or ``relative_error``.
        title: What tables call it.
        falls: Whether lower is worse; of an error higher is.
        needs_masks: Whether it holds a saliency map against a mask.
    """

    name: str
    title: str
    falls: bool = True
    needs_masks: bool = True

    def drop(self, before: float, after: float) -> float:
        """Return by how much a model got worse; negative where it got better."""
        return before - after if self.falls else after - before


RELATIVE_ERROR = Metric("relative_error", "relative error", falls=False, needs_masks=False)
"""``OutputAgreement.relative_error`` of the output that is furthest from the original's; 0 of the
original itself."""

MAX_F = Metric("max_f", "max F")

SALIENCY_METRICS = (
    Metric("mae", "MAE", falls=False),
    MAX_F,
    Metric("mean_f", "mean F"),
    Metric("weighted_f", "weighted F"),
    Metric("s_measure", "S-measure"),
    Metric("max_e", "max E"),
    Metric("si_mae", "size-invariant MAE", falls=False),
    Metric("si_max_f", "size-invariant max F"),
    Metric("si_mean_f", "size-invariant mean F"),
)
"""In the order of a table."""

_BY_WORD: Mapping[str, Metric] = {
    spelling.lower().replace("-", "_").replace(" ", "_"): metric
    for metric in (*SALIENCY_METRICS, RELATIVE_ERROR)
    for spelling in (metric.name, metric.title)
}


def metric_titles() -> tuple[str, ...]:
    """Return what all metrics are called."""
    return tuple(metric.title for metric in (*SALIENCY_METRICS, RELATIVE_ERROR))


def metric_names() -> tuple[str, ...]:
    """Return the names of all metrics as a command line takes them without quotes."""
    return tuple(metric.name for metric in (*SALIENCY_METRICS, RELATIVE_ERROR))


def find_metric(name: str) -> Metric:
    """Return a metric by its title or its field; case, blanks, ``-`` and ``_`` do not matter.

    Raises:
        UsageError: If there is no such metric; it lists those that there are.
    """
    found = _BY_WORD.get(name.strip().lower().replace("-", "_").replace(" ", "_"))
    if found is None:
        listed = ", ".join(f"'{title}'" for title in metric_titles())
        meant = did_you_mean(name, metric_titles())
        raise UsageError(f"metric must be one of {listed}, got '{name}'{meant}")
    return found


def suited_metric(name: str | None, *, has_masks: bool) -> Metric:
    """Return the metric that was asked for, or the one that suits the samples.

    Args:
        name: What was asked for; None for max F with masks, and the relative error without.
        has_masks: Whether there are masks, and the model has a saliency map.

    Raises:
        UsageError: If there is no such metric.
        DataError: If it needs masks or a saliency map, and there is none.
    """
    if name is None:
        return MAX_F if has_masks else RELATIVE_ERROR
    found = find_metric(name)
    if found.needs_masks and not has_masks:
        raise DataError(
            f"metric '{found.title}' holds saliency maps against masks, and there are no masks or "
            f"the model has no saliency map: give data with masks/, or use "
            f"'{RELATIVE_ERROR.title}'"
        )
    return found
