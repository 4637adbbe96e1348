"""The same runs on an NVIDIA GPU; skipped where ONNX Runtime has no CUDA."""

from __future__ import annotations

import onnxruntime
import pytest

from wrg_onnx.graph import Provider
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
        reason="this ONNX Runtime has no CUDA",
    ),
]


def config(provider):
    timing = Timing(warmup=1, rounds=5)
    return PruneConfig(
        0.3, criterion=Criterion.WR, data=DataOptions(samples=2), provider=provider, timing=timing
    )


def test_auto_measures_latency_on_the_cpu_and_on_cuda(tiny_unet):
    report = prune(tiny_unet, None, config(Provider.AUTO)).report
    assert [speed.provider for speed in report.speed] == ["cpu", "cuda"]


def test_cuda_and_cpu_choose_nearly_the_same_units(tiny_unet):
    on_cpu, on_cuda = (
        prune(tiny_unet, None, config(p)).report for p in (Provider.CPU, Provider.CUDA)
    )
    widths = [[group.kept for group in report.groups] for report in (on_cpu, on_cuda)]
    assert sum(abs(a - b) for a, b in zip(*widths, strict=True)) <= 0.02 * sum(widths[0])
