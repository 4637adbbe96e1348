"""What `make` installs has hashes, and the versions that the tests ran with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALLED = ("torch", "metrics", "plots", "interop", "deploy-tests", "dev")


def key(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name):
    """Return version and hashes by package."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    found = {}
    for block in re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        package, version = re.match(r"([\w.-]+)(?:\[\w+\])?==([^\s;]+)", block).groups()
        found[key(package)] = version, re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block)
    return found


def pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {key(name): version for name, version in pairs}


@pytest.mark.parametrize("name", ["base", "cpu", "gpu", "dist"])
def test_every_package_has_hashes(name):
    found = locked(name)
    assert found
    assert not [package for package, (_, hashes) in found.items() if not hashes]


def test_versions_are_those_of_the_constraints():
    wanted = pinned()
    for package, (version, _) in {**locked("base"), **locked("cpu")}.items():
        assert version == wanted.get(package, version), package


def test_what_the_project_asks_for_is_there_but_torch():
    asked = list(PROJECT["dependencies"])
    asked += [one for extra in INSTALLED for one in PROJECT["optional-dependencies"][extra]]
    names = {key(re.match(r"[\w.-]+", one)[0]) for one in asked}
    assert names - locked("base").keys() == {"torch"}


def test_floors_are_where_the_loaders_hold():
    (onnx,) = (one for one in PROJECT["dependencies"] if re.match(r"onnx\b(?!-)", one))
    assert onnx == "onnx>=1.23"
    extras = PROJECT["optional-dependencies"]
    assert extras["cpu"] == ["onnxruntime>=1.28"]
    assert extras["gpu"] == ["onnxruntime-gpu>=1.28"]
