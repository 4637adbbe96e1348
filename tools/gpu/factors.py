"""Ranks and gradients on the device, held against those of the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gpu.nets import original
from gpu.task import Stopwatch, Task, run
from wrg_onnx.calibrate import Tap, channels_first, plan_taps
from wrg_onnx.calibrate.gradient.probe import GradientProbe
from wrg_onnx.calibrate.measurements import Probe, Row
from wrg_onnx.calibrate.rank.device_maps import DeviceMapProbe
from wrg_onnx.calibrate.rank.device_ranks import device_ranks
from wrg_onnx.calibrate.rank.maps import MapProbe, MapSource
from wrg_onnx.calibrate.rank.ranks import numerical_ranks
from wrg_onnx.data.dataset import Sample
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.factors import ACTIVATION, GRADIENT, RANK, Float64Array
from wrg_onnx.graph import Graph, Provider, resolve_provider
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.samples import open_samples

NETS = ("vgg16_sod", "resnet50")


def work(task: Task, keep: Callable[..., None]) -> None:
    """Compare both factors of both nets."""
    for name in NETS:
        options = DataOptions(samples=task.pick(8, 2))
        model = analyse(original(task, name), options)
        samples = open_samples(
            model.graph, model.input_shapes, options, model.graph, provider=Provider.CPU, seed=0
        )
        taps = plan_taps(model.units)
        images = list(samples.calibration)
        few = images[: task.pick(2, 1)]
        keep(**{f"ranks_{name}": ranks(task, MapSource(model.graph, taps), few)})
        found = gradients(task, model.graph, taps, samples.saliency, images)
        keep(**{f"gradients_{name}": found})
        if resolve_provider(Provider.AUTO).value == task.device:
            keep(**{f"maps_{name}": maps(task, model.graph, taps, few)})


def ranks(task: Task, source: MapSource, images: Sequence[Sample]) -> dict[str, float]:
    """Rank the same maps in both places; the ranks are whole numbers, and should be the same."""
    count = different = 0
    cpu_s = device_s = largest = 0.0
    for maps in _maps(source, images):
        watch = Stopwatch()
        expected = numerical_ranks(maps)
        cpu_s += watch.lap()
        lent = torch.from_numpy(maps).to(task.device)
        watch.lap()
        found = device_ranks(lent).cpu().numpy()
        device_s += watch.lap()
        gap = np.abs(found - expected)
        count, different = count + gap.size, different + int((gap > 0).sum())
        largest = max(largest, float((gap / min(maps.shape[2:])).max()))
    return {
        "maps": count, "different": different, "largest_difference": largest,
        "cpu_s": cpu_s, "device_s": device_s,
    }  # fmt: skip


def _maps(source: MapSource, images: Sequence[Sample]) -> Iterator[NDArray[np.float32]]:
    """Yield the maps of each layer, (1, C, H, W)."""
    for image in images:
        for part in source.parts:
            (arrays,) = source.run([image], part)
            for tap in part:
                maps = channels_first(tap, arrays.pop(tap.tensor))
                if min(maps.shape[2:]) > 1:
                    yield np.ascontiguousarray(maps, np.float32)


def gradients(
    task: Task,
    graph: Graph,
    taps: Sequence[Tap],
    saliency: SaliencyMap | None,
    images: Sequence[Sample],
) -> dict[str, float]:
    """Take G in float32 in both places, and on the device in bfloat16."""
    found: dict[str, Float64Array] = {}
    seconds: dict[str, float] = {}
    for label, device, mixed in (
        ("cpu", "cpu", False), ("device", task.device, False), ("bfloat16", task.device, True),
    ):  # fmt: skip
        probe = GradientProbe(graph, taps, saliency, device, mixed=mixed)
        probe.measure(images[:2])  # warms up
        watch = Stopwatch()
        rows = probe.measure(images)
        seconds[f"{label}_s"] = watch.lap() / len(images)
        found[label] = np.stack([row[GRADIENT] for row in rows])
    return {
        **seconds,
        "difference": relative(found["device"], found["cpu"]),
        "bfloat16_difference": relative(found["bfloat16"], found["cpu"]),
    }


def maps(
    task: Task, graph: Graph, taps: Sequence[Tap], images: Sequence[Sample]
) -> dict[str, float]:
    """Take R and mean activations as a run does: on the device ONNX Runtime lends its maps."""
    probes: dict[str, Probe] = {
        "cpu": MapProbe(MapSource(graph, taps), [RANK]),
        "device": DeviceMapProbe(MapSource(graph, taps, Provider(task.device)), [RANK]),
    }
    found: dict[str, list[Row]] = {}
    seconds: dict[str, float] = {}
    for label, probe in probes.items():
        probe.measure(images[:1])  # warms up
        watch = Stopwatch()
        found[label] = probe.measure(images)
        seconds[f"{label}_s"] = watch.lap() / len(images)
    differences = {
        f"{factor.name}_difference": relative(
            *(np.stack([row[factor] for row in found[label]]) for label in ("device", "cpu"))
        )
        for factor in (ACTIVATION, RANK)
    }
    return {**seconds, **differences}


def relative(one: Float64Array, other: Float64Array) -> float:
    """Return the largest difference over the largest number."""
    return float(np.abs(one - other).max() / np.abs(other).max())


if __name__ == "__main__":
    run(work)
