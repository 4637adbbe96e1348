"""What a run decided that made it long or short, for its log: ``--verbose`` shows it."""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.calibrate import Collected
from wrg_onnx.channels import Units
from wrg_onnx.logs import logger_of
from wrg_onnx.recover import Reconstruction
from wrg_onnx.rewrite import Equivalence

_LOG = logger_of(__name__)


def log_units(units: Units) -> None:
    """Log what there is to choose from."""
    widths = len({*units.group[units.removable].tolist()})
    _LOG.info(
        "%d of %d units may go, in %d layer widths",
        int(units.removable.sum()), units.count, widths,
    )  # fmt: skip


def log_choice(collected: Collected, samples: int) -> None:
    """Log from how many samples a choice was made, and why from no more.

    Args:
        collected: What was measured.
        samples: How many samples there are; 0 where weights alone are looked at.
    """
    used = collected.statistics.images
    if not used:
        _LOG.info("the choice is made from weights alone, without looking at samples")
        return
    sure = "" if collected.certainty is None else f": it is {collected.certainty:.1%} certain"
    _LOG.info("the choice is made from %d of %d samples%s", used, samples, sure)


def log_proof(found: Equivalence) -> None:
    """Log what the proof compared."""
    said = f"; {found.layers} layers by themselves" if found.layers else ""
    said += f"; {found.alone} nodes by themselves, on drawn values" if found.alone else ""
    said += f"; at {found.sizes} input sizes" if found.sizes > 1 else ""
    said += f"; run in {found.parts} parts" if found.parts > 1 else ""
    said += f"; {found.tried} further inputs were tried" if found.tried else ""
    _LOG.info("the proof compared %d tensors%s", found.tensors, said)


def log_recovery(solved: Reconstruction, samples: int) -> None:
    """Log how many layers were solved for, and why others were left out.

    Args:
        solved: What was solved for.
        samples: On how many samples.
    """
    _LOG.info("%d layers were solved for on %d samples%s", len(solved.fits), samples,
              _left_out(solved.left))  # fmt: skip


def log_kernels() -> None:
    """Log why a report takes its time."""
    _LOG.info(
        "this machine's kernels are timed, to tell what rounding the numbers of channels would "
        "gain (--align)"
    )


def _left_out(left: Mapping[str, int]) -> str:
    if not left:
        return ""
    reasons = "; ".join(f"{count} because {reason}" for reason, count in left.items())
    return f", {sum(left.values())} left out: {reasons}"
