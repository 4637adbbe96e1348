"""The models that the tools are held against: the repository's own, and a zoo if there is one."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from peers.child import ROOT

SHARED = ROOT.parent / "shared"
SKELETON = SHARED / "tools" / "skeleton.py"
ORACLE = SHARED / "tools" / "oracle.py"
BUILD = ROOT / "build" / "peers"


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the benchmark.

    Attributes:
        name: What the tables call it.
        path: Its ONNX file, there once ``materialise`` has run.
        source: Where the file comes from: itself, an archive without weights, or a torch factory
            as ``module:function``.
        shape: The input's shape, for a factory.
    """

    name: str
    path: Path
    source: str
    shape: tuple[int, ...] = ()

    @property
    def factory(self) -> str | None:
        """The torch factory, None for a model that is only a file."""
        return self.source if self.shape else None


FACTORIES = (
    ("models.small_unet:small_unet", (1, 3, 160, 160)),
    ("models.vgg16_sod:vgg16_sod", (1, 3, 224, 224)),
    ("models.classifiers:resnet18", (1, 3, 64, 64)),
    ("models.classifiers:mobilenet_v2", (1, 3, 64, 64)),
)


def find_models(zoo: Path | None, trained: Path | None, only: str = "*") -> list[Model]:
    """List the models whose name matches a glob: the repository's, the zoo's, the trained ones."""
    found = [*_own(), *_archived(zoo), *_files(trained)]
    return [model for model in found if fnmatch.fnmatch(model.name, only)]


def materialise(model: Model) -> None:
    """Write the model's ONNX file where it is not there yet.

    In a process of its own: a child starts with its parent's peak memory, so this one stays small.

    Raises:
        subprocess.CalledProcessError: If it cannot be made.
    """
    if model.path.exists():
        return
    model.path.parent.mkdir(parents=True, exist_ok=True)
    part = model.path.with_suffix(".part.onnx")
    if model.factory:
        shape = "x".join(map(str, model.shape))
        command = [sys.executable, "-m", "wrg_onnx", "export", model.factory, "--input", shape,
                   "--static-batch", "--output", str(part), "--force"]  # fmt: skip
    else:
        command = [sys.executable, str(SKELETON), "materialize", model.source, str(part)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    part.replace(model.path)


def _own() -> Iterator[Model]:
    tiny = ROOT / "models" / "tiny_unet.onnx"
    yield Model(tiny.stem, tiny, str(tiny))
    for factory, shape in FACTORIES:
        name = factory.partition(":")[2]
        yield Model(name, BUILD / "own" / f"{name}.onnx", factory, shape)


def _archived(folder: Path | None) -> Iterator[Model]:
    if folder is None or not SKELETON.exists():
        return
    for path in sorted(folder.glob("*.onnx.xz")):
        name = path.name.removesuffix(".onnx.xz")
        yield Model(name, BUILD / "zoo" / f"{name}.onnx", str(path))


def _files(folder: Path | None) -> Iterator[Model]:
    for path in sorted(folder.glob("*.onnx")) if folder else ():
        yield Model(path.stem, path, str(path))
