"""Where and how a run was made."""

from __future__ import annotations

import platform
from datetime import datetime
from importlib import metadata

import numpy as np

from wrg_onnx.choices import Provider
from wrg_onnx.report import environment as module
from wrg_onnx.report.details import DataSource
from wrg_onnx.report.environment import environment_of
from wrg_onnx.version import __version__

SOURCE = DataSource("photos", "", 32, 8, "0" * 64)


def made(words=("wrg_onnx.prune('m.onnx')",)):
    return environment_of(Provider.CPU, 7, words, SOURCE)


def versions_of(found):
    return {one.package: one.version for one in found.versions}


def test_versions_are_those_that_run():
    versions = versions_of(made())
    assert [*versions] == ["wrg-onnx", "python", "onnx", "onnxruntime", "numpy", "torch"]
    assert versions["wrg-onnx"] == __version__
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__
    assert versions["onnx"] == metadata.version("onnx")


def test_what_is_not_installed_has_no_version(monkeypatch):
    found = metadata.version

    def version(package):
        if package == "torch":
            raise metadata.PackageNotFoundError(package)
        return found(package)

    monkeypatch.setattr(metadata, "version", version)
    assert versions_of(made())["torch"] is None


def test_the_rest_is_what_was_said_and_what_the_machine_is():
    found = made()
    assert (found.provider, found.seed, found.data) == ("cpu", 7, SOURCE)
    assert found.command == ("wrg_onnx.prune('m.onnx')",)
    assert found.cores >= 1
    assert found.platform
    assert datetime.fromisoformat(found.date).tzinfo is not None


def test_a_long_command_keeps_its_beginning_and_says_that_there_was_more():
    kept = made(["word"] * (module.MOST_WORDS + 5)).command
    assert (len(kept), kept[0], kept[-1]) == (module.MOST_WORDS, "word", "...")
    (word,) = made(["x" * 100_000]).command
    assert word.startswith("xxx")
    assert len(word) <= module.LONGEST_WORD
