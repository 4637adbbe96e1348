"""ONNX Runtime is told to tell its vendor nothing, before it is imported, in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from wrg_onnx.graph.session import NO_TELEMETRY, runtime
from wrg_onnx.latency.fresh.children import PROGRAM

SAYS = "import os; print(os.environ.get('ORT_DISABLE_TELEMETRY'))"
FAKE = "import sys, types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime'); "


def printed(code, value):
    env = {name: text for name, text in os.environ.items() if name != NO_TELEMETRY}
    if value is not None:
        env[NO_TELEMETRY] = value
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0"), ("1", "1"), ("", "")])
@pytest.mark.parametrize(
    "code", ["import wrg_onnx; ", f"{FAKE}import runpy; runpy.run_path({str(PROGRAM)!r}); "],
    ids=["package", "program of its own"],
)  # fmt: skip
def test_it_is_forbidden_unless_the_user_decided(code, before, after):
    assert printed(code + SAYS, before) == after


def test_the_package_forbids_it_before_it_imports_the_runtime():
    watch = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
    )
    use = "from wrg_onnx.graph import runtime; runtime()"
    assert printed(watch + use, None) == "1"


@pytest.mark.parametrize(("value", "calls"), [("1", 1), ("True ", 1), ("0", 0), ("", 0)])
def test_a_runtime_that_was_there_before_is_told_too(monkeypatch, value, calls):
    found = []
    fake = SimpleNamespace(
        set_default_logger_severity=lambda _: None,
        disable_telemetry_events=lambda: found.append(1),
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setenv(NO_TELEMETRY, value)
    assert runtime() is fake
    assert len(found) == calls
