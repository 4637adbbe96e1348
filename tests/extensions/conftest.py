"""Packages that a test installs, in a process that is as before behind it."""

from __future__ import annotations

import importlib
import sys

import pytest
from extension_package import install
from registries import own_copies

from wrg_onnx.extensions import load, scan


@pytest.fixture
def bring(tmp_path, monkeypatch):
    """Install a package of one module into a folder on ``sys.path``; return nothing."""
    own_copies(monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def forget():
        scan._scan.cache_clear()
        importlib.invalidate_caches()

    def add(module, code, points, *, name=None, version="1.0"):
        install(
            tmp_path / "site", name or module.replace("_", "-"), version,
            modules={f"{module}.py": code}, points=points,
        )  # fmt: skip
        forget()

    forget()
    yield add
    for module in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[module]
    load._BROKEN.clear()
    forget()
