"""Write requirements/ anew: what `make` installs, with the hash of each file of each package.

`pip-compile` asks the index that pip asks, and takes minutes. torch is left out: which build of it
is installed depends on the machine and on the index, and so does its hash.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "requirements"
EXTRAS = ("torch", "metrics", "plots", "interop", "deploy-tests", "dev")
RUNTIMES = {"cpu": "onnxruntime", "gpu": "onnxruntime-gpu"}
GPU_VERSION = "1.31.1"  # the newest for which there is one
BUILDING = ("build==1.6.1", "setuptools==84.2.1")  # in an environment of their own: `make dist`

HEAD = "# Written by `make lock`: what `make` installs, with the hash of each file.\n"
WITHOUT_TORCH = (
    "# torch is not among them: which of its builds is installed depends on the machine and the\n"
    "# index, and so does its hash.\n"
)

_PACKAGE = re.compile(
    r"^([\w.-]+)(?:\[[^\]]*\])?==[^\s\\]+[^\\\n]*(?: \\\n    --hash=\S+)+", re.MULTILINE
)


def main() -> None:
    """Write the four files."""
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    base = compiled("pyproject.toml", *extras)
    base.pop("torch", None)
    write("base", base.values(), WITHOUT_TORCH)
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^onnxruntime==(\S+)$", text, re.MULTILINE)
    for name, package in RUNTIMES.items():
        version = pinned if name == "cpu" else GPU_VERSION
        found = compiled_of(f"{package}=={version}")
        write(name, [line for key, line in found.items() if key not in base])
    write("dist", compiled_of(*BUILDING).values())


def compiled_of(*packages: str) -> dict[str, str]:
    """Resolve some packages; return each package's lines by its name."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as asked:
        asked.write("\n".join(packages))
        asked.flush()
        return compiled(asked.name)


def compiled(source: str, *options: str) -> dict[str, str]:
    """Resolve what a file asks for; return each package's lines by its name."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.txt"
        command = [
            str(Path(sys.executable).parent / "pip-compile"), "--quiet", "--generate-hashes",
            "--no-annotate", "--no-header", "--no-strip-extras", "--allow-unsafe",
            "--constraint", "constraints.txt", *options, "--output-file", str(output), source,
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
        text = output.read_text(encoding="utf-8")
    found = {m[1].lower().replace("_", "-"): m[0] for m in _PACKAGE.finditer(text)}
    return dict(sorted(found.items()))


def write(name: str, packages: Iterable[str], note: str = "") -> None:
    """Write one of the files."""
    lines = "\n".join(packages)
    (FOLDER / f"{name}.txt").write_text(f"{HEAD}{note}{lines}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
