"""Both distributions as `make dist` builds them, from a tree with things lying about."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from required import require

ROOT = Path(__file__).parents[1]
BUILDER = ROOT / "build" / "packaging" / "bin" / "python"

# What a folder that is worked in has, and no distribution may have.
LYING_ABOUT = (
    "build/lib/wrg_onnx/left_over.py", ".venv/lib/wrg_onnx/left_over.py", "wrg.toml",
    "wrg_onnx/__pycache__/left_over.pyc", "models/weights.onnx", "tests/test_left_over.py",
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """Where they are.

    Attributes:
        sdist: The source distribution.
        wheel: What was built from it.
    """

    sdist: Path
    wheel: Path


def tracked() -> list[str]:
    """Return the files of the repository, and those that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    require(done.returncode == 0, "git does not tell which files are of this project")
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def build(folder: Path) -> Built:
    """Build both in a folder."""
    require(BUILDER.exists(), "`make dist` makes the environment that builds")
    tree = folder / "tree"
    for name in tracked():
        to = tree / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, to)
    for name in LYING_ABOUT:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"")
    out = folder / "dist"
    subprocess.run(
        [BUILDER, "-m", "build", "--quiet", "--no-isolation", "--outdir", out, tree],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}, check=True,
    )  # fmt: skip
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Built(sdist, wheel)
