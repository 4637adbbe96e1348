"""Hold the twin's forward and backward pass against those of the torch module it came from.

    python tools/bench/bench_twin.py [--rounds 7] [--batch 4] [--threads N] [--quick]

Both compute the same function of the same parameters: batch normalisation is folded into the
convolutions before the export, which would do it. They run turn by turn in one process; the table
shows medians, and the median over the rounds of the ratio of the two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `models`

from models.classifiers import VGG16, ResNet50
from wrg_onnx.export.options import ExportOptions
from wrg_onnx.export.write import export_module
from wrg_onnx.graph import load, relative_difference
from wrg_onnx.twin import Twin, build_twin

TARGET = 1.15
"""What the twin may cost: its time over that of the torch module."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One measurement.

    Attributes:
        rounds: How often each of the two is timed.
        batch: Images at a time.
        size: Pixels along each side.
        width: Channels of the first layer; 64 is the published net.
    """

    rounds: int
    batch: int
    size: int
    width: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over the rounds.

    Attributes:
        module_ms: The torch module's forward and backward pass.
        twin_ms: The twin's.
        ratio: The median of the rounds' ratios, twin over module.
        largest_difference: Between the gradients of the image, relative to the largest of them.
    """

    module_ms: float
    twin_ms: float
    ratio: float
    largest_difference: float


def compare(module: nn.Module, setting: Setting) -> Timing:
    """Time a module against the twin of its export.

    Args:
        module: In inference mode; its batch normalisation is folded.
        setting: How it is measured.
    """
    fold(module)
    image = torch.randn(
        setting.batch, 3, setting.size, setting.size, generator=torch.Generator().manual_seed(0)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_module(module, path, ExportOptions((tuple(image.shape),), dynamic_batch=False))
        twin = build_twin(load(path)).eval()
    runs: tuple[Callable[[Tensor], Tensor], ...] = (module, lambda x: _logits(twin, x))
    gradients = [_step(run, image)[1] for run in runs]  # they warm up, too
    largest = relative_difference(*(gradient.numpy() for gradient in gradients))
    times: list[list[float]] = [[], []]
    for turn in range(setting.rounds):
        for number in (0, 1) if turn % 2 else (1, 0):
            times[number].append(_step(runs[number], image)[0])
    ratios = [twin_ms / module_ms for module_ms, twin_ms in zip(*times, strict=True)]
    module_ms, twin_ms = (statistics.median(each) for each in times)
    return Timing(module_ms, twin_ms, statistics.median(ratios), largest)


def fold(module: nn.Module) -> None:
    """Fold each batch normalisation into the convolution that stands before it."""
    children = list(module.named_children())
    for (name, first), (next_name, second) in pairwise(children):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(first, second))
            setattr(module, next_name, nn.Identity())
    for _, child in children:
        fold(child)


def _logits(twin: Twin, image: Tensor) -> Tensor:
    (name,), (output,) = twin.input_names, twin.output_names
    logits: Tensor = twin({name: image})[output]
    return logits


def _step(run: Callable[[Tensor], Tensor], image: Tensor) -> tuple[float, Tensor]:
    """Run forward and backward once; return milliseconds and the gradient of the image."""
    leaf = image.clone().requires_grad_()
    start = time.perf_counter()
    run(leaf).square().mean().backward()  # type: ignore[no-untyped-call]
    passed_ms = 1e3 * (time.perf_counter() - start)
    assert leaf.grad is not None
    return passed_ms, leaf.grad


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each net."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="narrow nets on small images")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    size, width = (64, 8) if options.quick else (224, 64)
    setting = Setting(options.rounds, options.batch, size, width)
    print(f"batch {setting.batch}, {size} x {size}, {options.threads} threads")
    print(f"{'net':10}{'torch':>11}{'twin':>11}{'ratio':>8}   gradients differ by")
    builders: dict[str, Callable[[], nn.Module]] = {
        "VGG16": lambda: VGG16(width=width, size=size),
        "ResNet-50": lambda: ResNet50(width=width),
    }
    for name, build in builders.items():
        torch.manual_seed(0)
        timing = compare(build().eval(), setting)
        print(
            f"{name:10}{timing.module_ms:8.1f} ms{timing.twin_ms:8.1f} ms{timing.ratio:8.3f}"
            f"   {timing.largest_difference:.1e}"
        )
    print(f"target: a ratio of {TARGET} at most")


if __name__ == "__main__":
    main()
