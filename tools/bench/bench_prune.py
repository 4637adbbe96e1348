"""Hold `wrg-onnx prune` on a 528 MB VGG16 against reading and writing that file with onnx alone.

    python tools/bench/bench_prune.py [--runs 3] [--ratio 0.6]

Each run is a process of its own, turn by turn; the table shows medians and the ratio of the two.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from one_process import Run, run

FEATURES = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
CLASSIFIER = (4096, 4096, 1000)

READ_AND_WRITE = "import onnx, sys; onnx.save(onnx.load(sys.argv[1]), sys.argv[2])"


def build_vgg16(path: Path, seed: int = 0) -> None:
    """Write VGG16 for 224 x 224 images with He-initialised weights."""
    rng = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def layer(
        op: str, shape: tuple[int, ...], x: str, name: str, **attributes: int | list[int]
    ) -> str:
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        weight = rng.standard_normal(shape, np.float32) * scale
        bias = rng.uniform(0.01, 0.1, shape[0]).astype(np.float32)
        weights.extend(
            [
                numpy_helper.from_array(weight, f"{name}.weight"),
                numpy_helper.from_array(bias, f"{name}.bias"),
            ]
        )
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        node = helper.make_node(op, inputs, [name], name)
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in attributes.items()
        )
        nodes.append(node)
        return name

    def relu(x: str) -> str:
        nodes.append(helper.make_node("Relu", [x], [f"{x}.relu"], f"{x}.relu"))
        return f"{x}.relu"

    x, channels = "image", 3
    for number, width in enumerate(FEATURES):
        if width:
            name = f"features.{number}"
            x = relu(layer("Conv", (width, channels, 3, 3), x, name, pads=[1, 1, 1, 1]))
            channels = width
        else:
            pool = f"pool.{number}"
            node = helper.make_node(
                "MaxPool", [x], [pool], pool, kernel_shape=[2, 2], strides=[2, 2]
            )
            nodes.append(node)
            x = pool
    nodes.append(helper.make_node("Flatten", [x], ["flat"], "flat"))
    x, inputs = "flat", channels * 7 * 7
    for number, width in enumerate(CLASSIFIER):
        x = layer("Gemm", (width, inputs), x, f"classifier.{number}", transB=1)
        x = relu(x) if number < len(CLASSIFIER) - 1 else x
        inputs = width
    graph = helper.make_graph(
        nodes,
        "vgg16",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, CLASSIFIER[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ratio", type=float, default=0.6)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build_vgg16(options.build)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "vgg16.onnx"
        output = str(Path(folder) / "out.onnx")
        # In a process of its own, whose memory is gone before the others start.
        run([sys.executable, __file__, "--build", str(model)])
        size = model.stat().st_size
        commands = {
            "onnx: read and write": [sys.executable, "-c", READ_AND_WRITE, str(model), output],
            "wrg-onnx prune": [
                sys.executable, "-m", "wrg_onnx", "prune", str(model),
                "--ratio", str(options.ratio), "--criterion", "l1", "--recover", "none",
                "--output", output, "--force",
            ],
        }  # fmt: skip
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                runs[name].append(run(command))
    seconds = {n: statistics.median(r.wall_s for r in rs) for n, rs in runs.items()}
    peaks = {n: statistics.median(r.peak_bytes for r in rs) / size for n, rs in runs.items()}
    base, ours = commands
    result = {
        "file_mb": size / 1e6,
        "runs": options.runs,
        "seconds": seconds,
        "time_ratio": seconds[ours] / seconds[base],
        "peak_over_file": peaks,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"VGG16, {size / 1e6:.0f} MB, ratio {options.ratio}, median of {options.runs} runs")
    print(f"{'':<24}{'seconds':>10}{'against onnx':>15}{'peak / file':>14}")
    for name in commands:
        against = seconds[name] / seconds[base]
        print(f"{name:<24}{seconds[name]:>10.2f}{against:>14.2f}x{peaks[name]:>14.2f}")


if __name__ == "__main__":
    main()
