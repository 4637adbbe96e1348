"""How long the torch twins of a model and of what was left of it take, forward, on the device.

It tells what pruning gains on a GPU where ONNX Runtime has no CUDA, too.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from gpu.nets import BUILDERS, original, pruned, size
from gpu.task import Task, run
from wrg_onnx.graph import load
from wrg_onnx.twin import Twin, build_twin

BATCHES, SMALL_BATCHES = (1, 16), (1, 2)
DTYPES = (torch.float32, torch.float16)


def work(task: Task, keep: Callable[..., None]) -> None:
    """Time each net at each batch and type."""
    for name in BUILDERS:
        graphs = [load(original(task, name)), load(pruned(task, name))]
        twins = [build_twin(graph, trainable=False).eval().to(task.device) for graph in graphs]
        found = {}
        for dtype in DTYPES:
            both = [twin.to(dtype) for twin in twins]
            for batch in SMALL_BATCHES if task.small else BATCHES:
                image = torch.randn(batch, 3, size(task), size(task), device=task.device)
                label = f"{str(dtype).removeprefix('torch.')}, batch {batch}"
                found[label] = timed(task, both, image.to(dtype))
        keep(**{name: found})


def timed(task: Task, twins: list[Twin], image: Tensor) -> list[float]:
    """Return the median milliseconds of each, turn by turn."""
    times: list[list[float]] = [[] for _ in twins]
    for turn in range(task.pick(60, 4)):
        for twin, taken in zip(twins, times, strict=True):
            passed = _ms(twin, image, task.device)
            if turn >= task.pick(10, 1):  # what comes before warms up
                taken.append(passed)
    return [statistics.median(taken) for taken in times]


def _ms(twin: Twin, image: Tensor, device: str) -> float:
    start = time.perf_counter()
    with torch.no_grad():
        twin({"image": image})
    if device == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    run(work)
