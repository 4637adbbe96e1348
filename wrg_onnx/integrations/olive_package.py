"""What makes the pass known to Olive: ``python -m wrg_onnx.integrations.olive_package > FILE``.

``olive run --package-config FILE`` replaces Olive's own list of passes, so the file that this
writes has them, too. Nothing of Olive is imported for it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from wrg_onnx import MissingPackageError

OWN = {
    "module_path": "wrg_onnx.integrations.olive.WrgPrune",
    "supported_providers": ["*"],
    "supported_accelerators": ["*"],
    "supported_precisions": ["*"],
    "supported_algorithms": [],
    "supported_quantization_encodings": [],
    "module_dependencies": ["wrg-onnx"],
}
"""What Olive asks of a pass: where it is, and what it can be used for."""


def package_config() -> dict[str, Any]:
    """Return the passes of the installed Olive, and ``WrgPrune``.

    Raises:
        MissingPackageError: If Olive is not installed.
    """
    found = importlib.util.find_spec("olive")
    if found is None or found.origin is None:
        raise MissingPackageError("olive-ai", purpose="pruning inside `olive run`", extra="olive")
    own = Path(found.origin).with_name("olive_config.json")
    config: dict[str, Any] = json.loads(own.read_text(encoding="utf-8"))
    return {**config, "passes": {**config["passes"], "WrgPrune": OWN}}


if __name__ == "__main__":
    json.dump(package_config(), sys.stdout, indent=2)
