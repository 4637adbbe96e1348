"""The peers' own virtual environment: what they need would disturb ours."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from peers.child import ROOT

ENVIRONMENT = ROOT / "build" / "peers-venv"
CONSTRAINTS = ROOT / "constraints.txt"

NEEDS = ("numpy", "onnx", "onnxruntime", "onnxscript", "packaging")
PEERS = ("onnxsim", "torch-pruning", "onnx2torch")
"""Without their dependencies: onnx2torch asks for torchvision, which brings a second torch."""


def peers_python() -> Path:
    """Make the environment if it is absent or out of date; return its interpreter."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / ".stamp"
    wanted = hashlib.sha256(CONSTRAINTS.read_bytes() + repr((NEEDS, PEERS)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"making {ENVIRONMENT.relative_to(ROOT)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
               "--constraint", str(CONSTRAINTS)]  # fmt: skip
    for packages in (["torch"], list(NEEDS), ["--no-deps", *PEERS]):
        # Its warnings and progress would mix with the table.
        subprocess.run([*install, *packages], check=True, stdout=sys.stderr)
    stamp.write_text(wanted)
    return python


def versions(python: Path | str, packages: tuple[str, ...]) -> dict[str, str]:
    """Ask an environment for the versions of packages; those it lacks are left out."""
    listing = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = dict(line.partition("==")[::2] for line in listing.splitlines() if "==" in line)
    return {name: found[name] for name in packages if name in found}
