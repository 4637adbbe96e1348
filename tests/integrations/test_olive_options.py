"""The options of the pass are those of ``wrg_onnx.prune``; nothing of Olive is needed for that."""

from __future__ import annotations

import importlib.util
import inspect
import json

import pytest

import wrg_onnx
from wrg_onnx.errors import MissingPackageError
from wrg_onnx.integrations import olive_package
from wrg_onnx.integrations.olive_options import OF_OLIVE, TYPES, default_of, descriptions

PARAMETERS = inspect.signature(wrg_onnx.prune).parameters


def test_every_parameter_of_prune_is_an_option_or_left_to_olive():
    assert [*TYPES] == [name for name in PARAMETERS if name not in OF_OLIVE]
    assert set(PARAMETERS) >= OF_OLIVE


def test_every_option_is_described_in_prunes_words():
    found = descriptions()
    assert [*found] == [*PARAMETERS]
    assert found["ratio"].startswith("Share of the budget to remove, in [0, 1)")
    assert found["rounds"].startswith("Steps to the ratio, at least 1")


@pytest.mark.parametrize("name", TYPES)
def test_defaults_are_json(name):
    assert json.dumps(default_of(name))


def test_the_ratio_has_no_default():
    assert default_of("ratio") is None


def test_the_package_holds_olives_own_passes_and_ours(tmp_path, monkeypatch):
    (tmp_path / "olive").mkdir()
    (tmp_path / "olive" / "__init__.py").write_text("raise ImportError", encoding="utf-8")
    own = {"passes": {"Other": {"module_path": "olive.Other"}}, "extra_dependencies": {"cpu": []}}
    (tmp_path / "olive" / "olive_config.json").write_text(json.dumps(own), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = olive_package.package_config()
    assert [*found["passes"]] == ["Other", "WrgPrune"]
    assert found["extra_dependencies"] == {"cpu": []}


def test_without_olive_the_install_line_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'wrg-onnx\[olive\]'"):
        olive_package.package_config()
