"""What is said of a difference in speed, and of a machine that is too noisy to tell one."""

from __future__ import annotations

from collections.abc import Iterable

from wrg_onnx.latency import Noise, Ratio, Speed

WHAT_HELPS = (
    "close other programs, take fewer threads or more rounds, hold the clock (cpufreq governor "
    "'performance') and the processors (taskset)"
)


def ratio_text(ratio: Ratio) -> str:
    """Say how many times as fast a model is, if that is sure; else that it is not."""
    if not ratio.is_known:
        return "not known from a single turn"
    between = f"({ratio.low:.2f} to {ratio.high:.2f})"
    if not ratio.is_beyond_noise:
        return f"no difference beyond the noise {between}"
    return f"{ratio.value:.2f}x {between}"


def speed_text(speed: Speed) -> str:
    """Say the same of a model before and after.

    Both ran in one process, whose interval does not know how processes differ: on a noisy machine
    it is no claim.
    """
    said = ratio_text(speed.speedup)
    if _is_blurred(speed):
        return f"not sure on so noisy a machine: {said}"
    return said


def change_text(speed: Speed) -> str:
    """Say the same in a cell of a table, without the interval."""
    ratio = speed.speedup
    if not ratio.is_known:
        return "not known"
    if not ratio.is_beyond_noise:
        return "within noise"
    if _is_blurred(speed):
        return "not sure"
    return f"{ratio.value:.2f}x faster" if ratio.value >= 1 else f"{1 / ratio.value:.2f}x slower"


def _is_blurred(speed: Speed) -> bool:
    ratio = speed.speedup
    return speed.noise.is_much and ratio.is_known and ratio.is_beyond_noise


def noise_text(noises: Iterable[Noise]) -> str | None:
    """Say how noisy a machine is, and what helps; None if it is quiet enough."""
    noises = [*noises]
    if not any(noise.is_much for noise in noises):
        return None
    spreads = [noise.spread for noise in noises if noise.spread is not None]
    apart = f"processes of one model differ {max(spreads):.2f}-fold, and " if spreads else ""
    tail = max(noise.tail for noise in noises)
    return (
        f"this machine is noisy: {apart}one call in 20 takes {tail:.1f} times the median or more. "
        f"What helps: {WHAT_HELPS}"
    )
