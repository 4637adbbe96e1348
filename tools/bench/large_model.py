"""Write an ONNX model of any size: blocks of two products with a shortcut, weights beside it.

    python tools/bench/large_model.py OUTPUT.onnx --gib 6

No more than one weight is in memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

WIDTH, WIDER = 2048, 8192
TOKENS = 8

TAKES = 4096
"""Each weight begins at a multiple of this."""


def build_large(path: Path, size_bytes: int, seed: int = 0) -> int:
    """Write a model whose weights have about ``size_bytes``; return what they have.

    A block is x + relu(x W1 + b1) W2, (T, 2048) to (T, 8192) and back. Weights are shares of one
    drawn array, each scaled by itself: to draw 6 GiB takes longer than to prune them.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((WIDTH, WIDER), np.float32) / np.float32(np.sqrt(WIDER))
    blocks = max(1, round(size_bytes / (2 * drawn.nbytes)))
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []
    data = path.with_name(path.name + ".data")
    with data.open("wb") as stream:

        def weight(name: str, array: np.ndarray) -> None:
            stream.write(b"\0" * (-stream.tell() % TAKES))
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", data.name), ("offset", stream.tell()),
                               ("length", array.nbytes)):  # fmt: skip
                tensor.external_data.add(key=key, value=str(value))
            stream.write(np.ascontiguousarray(array).data)
            tensors.append(tensor)

        x = "x"
        for number in range(blocks):
            name = f"block.{number}"
            scales = rng.uniform(0.5, 1.5, WIDER).astype(np.float32)
            weight(f"{name}.up.weight", drawn * scales)
            weight(f"{name}.up.bias", rng.uniform(0.01, 0.1, WIDER).astype(np.float32))
            weight(f"{name}.down.weight", drawn.T * scales[:, None])
            nodes += [
                helper.make_node("MatMul", [x, f"{name}.up.weight"], [f"{name}.up"]),
                helper.make_node("Add", [f"{name}.up", f"{name}.up.bias"], [f"{name}.sum"]),
                helper.make_node("Relu", [f"{name}.sum"], [f"{name}.relu"]),
                helper.make_node(
                    "MatMul", [f"{name}.relu", f"{name}.down.weight"], [f"{name}.down"]
                ),
                helper.make_node("Add", [x, f"{name}.down"], [f"{name}.out"]),
            ]
            x = f"{name}.out"
    shape = [1, TOKENS, WIDTH]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return data.stat().st_size


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--gib", type=float, default=6.0)
    options = parser.parse_args()
    size = build_large(options.output, round(options.gib * 2**30))
    print(f"{options.output}: {size / 2**30:.2f} GiB of weights")


if __name__ == "__main__":
    main()
