"""Which numbers of channels the kernels of a machine like."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wrg_onnx.choices import Provider
from wrg_onnx.errors import UsageError
from wrg_onnx.factors import Float64Array
from wrg_onnx.graph import from_message, open_session
from wrg_onnx.progress import Counter, Progress, silent

WIDEST = 64
"""Up to how many channels are tried."""

SIDE = 28
"""Height and width of the image: large enough that a call costs little beside its work."""

ALIKE = 0.08
"""Times that differ by less are of one step: between steps of 16 of 64 channels they differ by a
quarter."""

ROUNDS = 30
"""How often each count is timed; the fastest tenth counts."""

CUDA_STEPS = {2: 8, 4: 4, 1: 16}
"""By the bytes of a number, the channels that tensor cores take at a time: NVIDIA, "Deep Learning
Performance: Convolutional Layers", where it asks for multiples of 8 in float16, 4 in TF32 and 16 in
int8."""


@dataclass(frozen=True, slots=True)
class ChannelSteps:
    """How kernels count channels.

    Attributes:
        block: They work on so many at a time: 97 take as long as 112 where it is 16.
        fine: Counts that are no multiple of it leave the fast layout.
    """

    block: int = 1
    fine: int = 1

    def __post_init__(self) -> None:
        if self.block < 1 or self.fine < 1:
            raise UsageError(f"steps must be at least 1, got {self.block} and {self.fine}")

    def inside(self, length: int) -> Float64Array:
        """Return what 0 to ``length`` channels count as, (length + 1,) float64."""
        return np.ceil(np.arange(length + 1) / self.block) * self.block

    def outside(self, length: int) -> Float64Array:
        """Return the same where a count leaves the fast layout, and 0 where it does not."""
        return np.where(np.arange(length + 1) % self.fine, self.inside(length), 0.0)


_MEASURED: dict[Provider, ChannelSteps] = {}
"""What this process has found; a machine does not change."""


def measure_steps(provider: Provider, progress: Progress = silent) -> ChannelSteps:
    """Find the steps of this machine; it takes about two seconds on a CPU, once in a process.

    A convolution is timed at each number of output channels, which gives the block, and at each
    number of input channels, which gives what the fast layout takes. On CUDA a single small kernel
    tells nothing, and the steps are those that its vendor states.

    Args:
        provider: ``CPU`` or ``CUDA``.
        progress: Told how many kernels were timed, each time that one was.

    Raises:
        MissingPackageError: If ONNX Runtime is not installed.
    """
    if provider is Provider.CUDA:
        return ChannelSteps(CUDA_STEPS[4], 1)
    if provider not in _MEASURED:
        counts = range(1, WIDEST + 1)
        counter = Counter(progress, "kernels", 2 * len(counts) * ROUNDS)
        out = _times([(WIDEST, count) for count in counts], provider, counter)
        into = _times([(count, WIDEST) for count in counts], provider, counter)
        block = find_block(out)
        _MEASURED[provider] = ChannelSteps(block, find_fine(into, block))
    return _MEASURED[provider]


def find_block(times: Sequence[float]) -> int:
    """Return in which steps a time rises.

    Args:
        times: With 1, 2, ... channels; a power of two of them.

    Returns:
        The largest power of two such that, from step to step, times within one are alike. 1 where
        each channel counts.
    """
    found = np.asarray(times)
    block = len(found)
    while block > 1:
        steps = found.reshape(-1, block)
        # The first steps are of few channels, where what a call costs covers all else.
        spread = (np.median(steps[:, block // 2 :], 1) / np.median(steps[:, : block // 2], 1))[1:]
        if len(spread) and float(np.median(spread)) < 1 + ALIKE:
            return block
        block //= 2
    return 1


def find_fine(times: Sequence[float], block: int) -> int:
    """Return of which number counts must be multiples so as not to be dearer than a whole block.

    Args:
        times: With 1, 2, ... input channels.
        block: The step that is certainly fine.
    """
    found = np.asarray(times)
    counts = np.arange(1, len(found) + 1)
    beyond = counts > block  # of less than a block layouts differ
    whole = found[-(-counts // block) * block - 1]
    fine = 1
    while fine < block:
        these = beyond & (counts % fine == 0) & (counts % (2 * fine) != 0)
        if float(np.median(found[these] / whole[these])) < 1 + ALIKE:
            return fine
        fine *= 2
    return block


def _times(widths: Sequence[tuple[int, int]], provider: Provider, counter: Counter) -> list[float]:
    """Time a convolution at several widths in turn; (inputs, outputs) to nanoseconds."""
    runners: list[Callable[[], object]] = []
    for inputs, outputs in widths:
        session = open_session(from_message(_convolution(inputs, outputs)), provider=provider)
        feeds = {"x": np.ones((1, inputs, SIDE, SIDE), np.float32)}
        runners.append(partial(session.run, feeds))
    times = np.empty((ROUNDS, len(runners)))
    for row in times:  # a machine that slows down does so for all of them
        for number, runner in enumerate(runners):
            start = time.perf_counter_ns()
            runner()
            row[number] = time.perf_counter_ns() - start
            counter.add()
    return [float(value) for value in np.percentile(times, 10, axis=0)]


def _convolution(inputs: int, outputs: int) -> onnx.ModelProto:
    """Make a model of one convolution, 3 x 3, of an image of ``SIDE`` x ``SIDE``."""
    weight = np.full((outputs, inputs, 3, 3), 0.01, np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width, SIDE, SIDE])
        for name, width in (("x", inputs), ("y", outputs))
    ]
    graph = helper.make_graph(
        [node], "convolution", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")]
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)
