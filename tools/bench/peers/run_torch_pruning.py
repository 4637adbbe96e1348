"""Prune with Torch-Pruning: `python run_torch_pruning.py SOURCE OUTPUT SPARSITY [SHAPE [STEP]]`.

It prunes torch modules. SOURCE is a factory, ``module:function``, with the input's SHAPE; or an
ONNX file, which onnx2torch turns into a module where it can. STEP is what numbers of channels are
rounded to; 1 for none. OUTPUT and, beside it, the unpruned
module as the same exporter writes it (``.reference.onnx``) are what the check compares. Prints one
JSON line. `bench_peers.py` starts it, with the path that it needs.
"""

from __future__ import annotations

import importlib
import sys
import time
import types
from pathlib import Path

import onnx
import torch
import torch_pruning
from torch import Tensor, nn

from peers.stopwatch import measure

Inputs = tuple[Tensor, ...]


def build(source: str, shape: str | None) -> tuple[nn.Module, Inputs]:
    """Build the module and an input, each time with the same weights."""
    torch.manual_seed(0)
    if shape:
        module, _, function = source.partition(":")
        net = getattr(importlib.import_module(module), function)().eval()
        return net, (torch.randn([int(size) for size in shape.split("x")]),)
    message = onnx.load(source)
    weights = {tensor.name for tensor in message.graph.initializer}
    inputs = [_random(value) for value in message.graph.input if value.name not in weights]
    return convert(message), tuple(inputs)


def convert(message: onnx.ModelProto) -> nn.Module:
    """Turn an ONNX model into a module, or end with a line that says why not."""
    for name in ("torchvision", "torchvision.ops"):
        # onnx2torch imports it for two detection operators; the package brings a torch of its own.
        stub = types.ModuleType(name)
        stub.roi_align = None  # type: ignore[attr-defined]
        stub.ops = stub  # type: ignore[attr-defined]
        sys.modules.setdefault(name, stub)
    import onnx2torch

    try:
        net: nn.Module = onnx2torch.convert(message)
    except Exception as error:  # noqa: BLE001 - whatever it is, the peer gets no further
        sys.exit(f"not convertible by onnx2torch: {type(error).__name__}: {error}".split("\n")[0])
    return net.eval()


def prune(net: nn.Module, inputs: Inputs, sparsity: float, step: int) -> None:
    """Remove the same share of each group's channels, by the L1 norm; the last layer stays whole.

    The defaults of the package, but for its one required choice: layers that make the outputs must
    be named by the user, and are taken from a run here.
    """
    pruner = torch_pruning.pruner.BasePruner(
        net,
        inputs if len(inputs) > 1 else inputs[0],
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=sparsity,
        ignored_layers=output_layers(net, inputs),
        round_to=step if step > 1 else None,
    )
    pruner.step()


def output_layers(net: nn.Module, inputs: Inputs) -> list[nn.Module]:
    """Return the layers with weights whose result has as many channels as an output, ran last."""
    last: list[nn.Module] = []
    kinds = (nn.Linear, nn.modules.conv._ConvNd)  # noqa: SLF001 - torch names the base nowhere else

    def note(layer: nn.Module, *_: object) -> None:
        last.append(layer)

    hooks = [m.register_forward_hook(note) for m in net.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        found = net(*inputs)
    for hook in hooks:
        hook.remove()
    outputs = list(found) if isinstance(found, tuple | list) else [found]
    widths = [tensor.shape[-1] if tensor.ndim < 3 else tensor.shape[1] for tensor in outputs]
    chosen = []
    for layer in reversed(last):
        width = getattr(layer, "out_channels", None) or getattr(layer, "out_features", None)
        if width in widths:
            widths.remove(width)
            chosen.append(layer)
    return chosen


def export(net: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write a module as ONNX; the older exporter takes what onnx2torch makes."""
    dynamo = not type(net).__module__.startswith("torch.fx")
    torch.onnx.export(net, inputs, str(path), dynamo=dynamo, external_data=False, verbose=False)


def main() -> None:
    """Prune, and print what it took."""
    source, output, sparsity, *rest = sys.argv[1:]
    shape = rest[0] if rest else None
    step = int(rest[1]) if len(rest) > 1 else 1
    reference = Path(output).with_suffix(".reference.onnx")
    start = time.perf_counter()
    export(*build(source, shape), reference)
    aside_s = time.perf_counter() - start

    def work(built: tuple[nn.Module, Inputs]) -> tuple[nn.Module, Inputs]:
        prune(*built, float(sparsity), step)
        return built

    def write(pruned: tuple[nn.Module, Inputs]) -> dict[str, object]:
        export(*pruned, Path(output))
        return {"setting": f"sparsity {sparsity}"}

    measure(lambda: build(source, shape), work, write, aside_s=aside_s)


def _random(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = [dim.dim_value or 1 for dim in kind.shape.dim]
    if kind.elem_type == onnx.TensorProto.FLOAT:
        return torch.randn(shape)
    return torch.randint(0, 50, shape)


if __name__ == "__main__":
    main()
