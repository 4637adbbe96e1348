"""The program of a process that runs one model for others to time; ``children.py`` starts it.

It is started by its path and imports nothing of the package: the process then holds what one that
deploys the model would, and starts as fast. It reads a request a line from stdin and answers each
with a line on stdout, both JSON, and ends with its stdin, so that no parent leaves it behind.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# As the package does: otherwise ONNX Runtime tells its vendor of each run.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # it looks at that once, as it is imported

RANDOM_SEED = 0
"""Operators that draw random numbers would otherwise be seeded by the time."""

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


class Model:
    """A model that is ready to run.

    Args:
        request: ``model``, the path of its file; ``feeds``, that of an .npz file of its inputs;
            ``provider``, ONNX Runtime's name of where to compute, and its ``options``;
            ``threads``; and ``profile``, the beginning of the names of a profile's files, or None
            for none.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        with np.load(request["feeds"], allow_pickle=False) as stored:
            self._feeds = {name: stored[key] for key, name in enumerate_names(stored)}
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = request["threads"]
        options.inter_op_num_threads = 1
        # Threads of one process would otherwise go on spinning while another is timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if request["profile"] is not None:
            _profile(options, request["profile"])
        onnxruntime.set_seed(RANDOM_SEED)
        self._base = _memory("VmRSS", reset=True)
        places = {request["provider"]: request["options"], "CPUExecutionProvider": {}}
        self._engine = onnxruntime.InferenceSession(
            request["model"], options, providers=[*places.items()], enable_fallback=False
        )
        self.providers: list[str] = self._engine.get_providers()

    def run(self, times: int) -> list[int]:
        """Run as often as asked; return how many nanoseconds each call took."""
        found = []
        for _ in range(times):
            start = time.perf_counter_ns()
            self._engine.run(None, self._feeds)
            found.append(time.perf_counter_ns() - start)
        return found

    def peak_bytes(self) -> int | None:
        """Return the most memory so far beyond what was held before the model was read."""
        peak = _memory("VmHWM")
        return None if peak is None or self._base is None else max(0, peak - self._base)

    def end_profile(self) -> str:
        """Return the path of the profile."""
        path: str = self._engine.end_profiling()
        return path


def enumerate_names(stored: Any) -> list[tuple[str, str]]:
    """Return the key and the name of each input: names of tensors are no names of files."""
    return [(f"array{number}", str(name)) for number, name in enumerate(stored["names"])]


def _profile(options: Any, prefix: str) -> None:
    options.enable_profiling = True
    options.profile_file_prefix = prefix
    options.optimized_model_filepath = f"{prefix}.onnx"
    # Only its nodes are looked at.
    weights = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{weights}_file_name", f"{Path(prefix).name}.bin")
    options.add_session_config_entry(f"{weights}_min_size_in_bytes", "64")


def _memory(field: str, *, reset: bool = False) -> int | None:
    """Return a field of this process's status in bytes; None where the system has no such file."""
    gc.collect()
    if not STATUS.exists():
        return None
    if reset:
        CLEAR.write_text("5", encoding="ascii")  # the peak begins anew
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    table = dict(line.split(":", 1) for line in lines)
    return int(table[field].split()[0]) * 1024 if field in table else None


def _answer(request: Mapping[str, Any], model: Model | None) -> tuple[dict[str, Any], Model | None]:
    if request["do"] == "open":
        model = Model(request)
        return {"providers": model.providers}, model
    assert model is not None
    if request["do"] == "run":
        return {"ns": model.run(request["times"])}, model
    if request["do"] == "peak":
        return {"bytes": model.peak_bytes()}, model
    return {"file": model.end_profile()}, model


def main() -> None:
    """Answer requests until there are no more."""
    # What a provider prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    onnxruntime.set_default_logger_severity(4)
    model: Model | None = None
    for line in sys.stdin:
        try:
            answer, model = _answer(json.loads(line), model)
        except Exception as error:
            known = isinstance(error, (RuntimeError, ValueError, MemoryError))
            if not known and not type(error).__module__.startswith("onnxruntime"):
                raise
            answer = {"error": f"{error}" or type(error).__name__}
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()


if __name__ == "__main__":
    main()
