"""What is given to the program with changes: files that are right, and the commands that read them.

Each target writes its files once. A case is one of them changed, and a command.
"""

from __future__ import annotations

import enum
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from PIL import Image

from mutate import change_archive, change_bytes, change_json, change_model, change_safetensors

Change: TypeAlias = Callable[[bytes, random.Random], bytes]
Command: TypeAlias = Callable[[Path], Sequence[str]]

OUTPUT = "out.onnx"
"""What a command writes in its folder, if it writes a model."""

SIZE = 32
"""Of the images."""


class Kept(enum.Enum):
    """What a file is for that the program keeps between runs."""

    WORK = "It spares work: the result is to be that without it."
    STATE = "A run goes on from it, or refuses it."


@dataclass(frozen=True, slots=True)
class Target:
    """Files of one kind.

    Attributes:
        bases: Folders with everything that the commands read.
        changed: A pattern of the files of which one is changed.
        changes: How; each as likely as the others.
        commands: With the folder in which they run, a copy of a base.
        kept: What the changed files are for, if the program wrote them for itself.
        share: How often it is drawn.
    """

    bases: Sequence[Path]
    changed: str
    changes: Sequence[Change]
    commands: Sequence[Command]
    kept: Kept | None = None
    share: float = 1.0


HEAD = '<ir_version: 8, opset_import: ["": 18, "own": 1]>'

TEXTS: Mapping[str, str] = {
    "convolutions": f"""{HEAD} net (float[N,3,{SIZE},{SIZE}] x) => (float[N,1,{SIZE},{SIZE}] y) {{
        a = Conv<pads = [1,1,1,1]>(x, w1, b1)  b = BatchNormalization(a, s, o, m, v)  c = Relu(b)
        d = MaxPool<kernel_shape = [2,2], strides = [2,2]>(c)  e = Conv<pads = [1,1,1,1]>(d, w2)
        f = Relu(e)  g = Resize<mode = "nearest">(f, , scales)  h = Concat<axis = 1>(g, c)
        i = Conv(h, w3)  y = Sigmoid(i) }}""",
    "attention": f"""{HEAD} net (float[1,6,16] x) => (float[1,6,16] y) {{
        n = LayerNormalization(x, g1, g2)  q = MatMul(n, wq)  k = MatMul(n, wk)  v = MatMul(n, wv)
        p = Reshape(q, heads)  r = Transpose<perm = [0,2,1,3]>(p)
        s = Reshape(k, heads)  t = Transpose<perm = [0,2,3,1]>(s)
        u = Reshape(v, heads)  z = Transpose<perm = [0,2,1,3]>(u)
        l = MatMul(r, t)  e = Softmax(l)  f = MatMul(e, z)  h = Transpose<perm = [0,2,1,3]>(f)
        i = Reshape(h, flat)  j = MatMul(i, wo)  y = Add(x, j) }}""",
    "bodies": f"""{HEAD} net (float[1,4,8] x, bool c) => (float[1,4,8] y) {{
        a = MatMul(x, wq)  b = Relu(a)
        d = If(c) <then_branch = t () => (float[1,4,8] p) {{ p = MatMul(b, wo) }},
                   else_branch = e () => (float[1,4,8] q) {{ r = Neg(b)  q = MatMul(r, wo) }}>
        n = Constant<value_int = 3>()  k = Constant<value_int = 1>()  one = Cast<to = 9>(k)
        y = Loop(n, one, d) <body = l (int64 i, bool g, float[1,4,8] s) => (bool h, float[1,4,8] u)
            {{ h = Identity(g)  m = MatMul(s, wq)  f = Relu(m)  w = MatMul(f, wo)  u = Add(s, w) }}>
        }}""",
    "functions": f"""{HEAD} net (float[1,8] x) => (float[1,8] y) {{
        a = own.twice(x, wq)  b = Relu(a)  c = MatMul(b, wo)  y = own.once(c) }}
        <domain: "own", opset_import: ["": 18, "own": 1]> once (p) => (q) {{ q = Neg(p) }}
        <domain: "own", opset_import: ["": 18, "own": 1]>
        twice (p, w) => (q) {{ r = MatMul(p, w)  q = own.once(r) }}""",
    "shapes": f"""{HEAD} net (float[N,3,8,8] x) => (float[N,5] y) {{
        a = Conv<pads = [1,1,1,1]>(x, w1, b1)  b = Relu(a)  s = Shape(b)
        i = Constant<value_int = 0>()  n = Gather(s, i)  j = Constant<value_ints = [0]>()
        u = Unsqueeze(n, j)  m = Constant<value_ints = [-1]>()  t = Concat<axis = 0>(u, m)
        r = Reshape(b, t)  e = Constant<value_ints = [1]>()  p = ConstantOfShape(e)
        q = Expand(p, e)  o = Add(r, q)  y = MatMul(o, wf) }}""",
    "quantised": f"""{HEAD} net (float[1,3,8,8] x) => (float[1,4,8,8] y) {{
        a = QuantizeLinear(x, sx, zx)  b = DequantizeLinear(a, sx, zx)
        w = DequantizeLinear<axis = 0>(w8, s8, z8)  c = Conv<pads = [1,1,1,1]>(b, w)  d = Relu(c)
        e = QuantizeLinear(d, sx, zx)  f = DequantizeLinear(e, sx, zx)  y = Conv(f, w4) }}""",
}  # fmt: skip

WEIGHTS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "convolutions": {
        "w1": (16, 3, 3, 3), "b1": (16,), "s": (16,), "o": (16,), "m": (16,), "v": (16,),
        "w2": (24, 16, 3, 3), "w3": (1, 40, 1, 1),
    },
    "attention": {
        "g1": (16,), "g2": (16,), "wq": (16, 16), "wk": (16, 16), "wv": (16, 16), "wo": (16, 16),
    },
    "bodies": {"wq": (8, 16), "wo": (16, 8)},
    "functions": {"wq": (8, 16), "wo": (16, 8)},
    "shapes": {"w1": (12, 3, 3, 3), "b1": (12,), "wf": (768, 5)},
    "quantised": {"w4": (4, 16, 1, 1)},
}  # fmt: skip

OTHERS: Mapping[str, Mapping[str, np.ndarray]] = {
    "convolutions": {"scales": np.array([1, 1, 2, 2], np.float32)},
    "attention": {"heads": np.array([1, 6, 4, 4]), "flat": np.array([1, 6, 16])},
    "quantised": {
        "sx": np.array(0.05, np.float32), "zx": np.array(0, np.int8),
        "w8": np.random.default_rng(1).integers(-128, 128, (16, 3, 3, 3)).astype(np.int8),
        "s8": np.full(16, 0.01, np.float32), "z8": np.zeros(16, np.int8),
    },
}  # fmt: skip


def write_bases(folder: Path, run: Callable[[Sequence[str], Path], None]) -> dict[str, Target]:
    """Write the files that are right.

    Args:
        folder: Where to, a folder each.
        run: Runs a command in a folder, for files that the program writes itself.
    """
    models = [_write_model(folder / name, name) for name in TEXTS]
    models.append(_with_weights_beside(folder / "beside"))
    archive, images = _with_archive(folder / "archive"), _with_images(folder / "images")
    kept, trained = _with_kept(folder / "kept", run), _with_checkpoint(folder / "trained", run)
    in_model = (change_model, change_model, change_bytes)
    in_archive = (change_archive, change_bytes)
    in_state = (change_safetensors, change_bytes)
    work, state = Kept.WORK, Kept.STATE
    return {
        "model": Target(models, "*.onnx", in_model, _MODEL, share=8),
        "archive": Target([archive], "data/*.npz", in_archive, _ARCHIVE),
        "image": Target([images], "data/*/*.png", (change_bytes,), _IMAGES),
        "statistics": Target([kept], "cache/*.npz", in_archive, (_prune_kept,), work, share=2),
        "points": Target([kept], "cache/*.json", (change_json, change_bytes), (_sweep,), work),
        "checkpoint": Target([trained], "run.*", in_state, (_resume,), state, share=0.5),
    }


def copy_base(base: Path, folder: Path) -> Path:
    """Copy a base to where a command may change it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return folder


def _model_of(folder: Path) -> str:
    return next(path.name for path in sorted(folder.glob("*.onnx")) if path.name != OUTPUT)


def _prune(folder: Path, *options: str) -> Sequence[str]:
    return ("prune", _model_of(folder), OUTPUT, "--json", *options)


_MODEL: Sequence[Command] = (
    lambda folder: ("inspect", _model_of(folder)),
    lambda folder: _prune(folder, "--ratio", "0.3", "--criterion", "l1"),
    lambda folder: _prune(folder, "--ratio", "0.3", "--samples", "2", "--no-cache"),
    lambda folder: _prune(folder, "--max-bytes", "2KB", "--criterion", "l1", "--through-norms"),
    lambda folder: ("validate", _model_of(folder), _model_of(folder), "--json"),
)

_ARCHIVE: Sequence[Command] = (
    lambda folder: _prune(folder, "--ratio", "0.3", "--data", "data", "--no-cache"),
)

_IMAGES: Sequence[Command] = (
    lambda folder: _prune(
        folder, "--ratio", "0.3", "--data", "data", "--samples", "2", "--no-cache"
    ),
)


def _prune_kept(folder: Path) -> Sequence[str]:
    return _prune(folder, "--ratio", "0.4", "--samples", "4", "--cache", "cache", "--no-evaluate")


def _sweep(folder: Path) -> Sequence[str]:
    return (
        "sweep", _model_of(folder), "--ratios", "0.4", "--criteria", "l1", "--samples", "4",
        "--cache", "cache", "--json",
    )  # fmt: skip


def _train(folder: Path) -> Sequence[str]:
    return (
        "finetune", _model_of(folder), "--output", OUTPUT, "--data", "data", "--epochs", "2",
        "--batch", "2", "--checkpoint", "run.safetensors", "--json",
    )  # fmt: skip


def _resume(folder: Path) -> Sequence[str]:
    return (*_train(folder), "--resume", "--force")


def _write_model(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True)
    model = onnx.parser.parse_model(TEXTS[name])
    draws = np.random.default_rng(0)
    for weight, shape in WEIGHTS[name].items():
        array = 0.2 * np.abs(draws.standard_normal(shape)).astype(np.float32) + 0.01
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, weight))
    for weight, array in OTHERS.get(name, {}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, weight))
    onnx.checker.check_model(model, full_check=name != "functions")
    onnx.save(model, folder / "model.onnx")
    return folder


def _with_weights_beside(folder: Path) -> Path:
    _write_model(folder, "convolutions")
    onnx.save(
        onnx.load(folder / "model.onnx"), folder / "model.onnx", save_as_external_data=True,
        location="model.data", size_threshold=64,
    )  # fmt: skip
    return folder


def _with_archive(folder: Path) -> Path:
    _write_model(folder, "convolutions")
    draws = np.random.default_rng(0)
    (folder / "data").mkdir()
    for number in range(3):
        image = draws.standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)
        np.savez(folder / "data" / f"{number}.npz", x=image)
    return folder


def _with_images(folder: Path) -> Path:
    _write_model(folder, "convolutions")
    draws = np.random.default_rng(0)
    for name, depth in (("images", 3), ("masks", None)):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(8):
            shape = (SIZE, SIZE) if depth is None else (SIZE, SIZE, depth)
            array = draws.integers(0, 256, shape).astype(np.uint8)
            array = array if depth else np.where(array > 127, 255, 0).astype(np.uint8)
            Image.fromarray(array).save(folder / "data" / name / f"{number}.png")
    return folder


def _with_kept(folder: Path, run: Callable[[Sequence[str], Path], None]) -> Path:
    _write_model(folder, "convolutions")
    for command in (_prune_kept(folder), _sweep(folder)):
        run(command, folder)
        (folder / OUTPUT).unlink(missing_ok=True)
    return folder


def _with_checkpoint(folder: Path, run: Callable[[Sequence[str], Path], None]) -> Path:
    _with_images(folder)
    run(_train(folder), folder)
    (folder / OUTPUT).unlink()
    return folder
