"""What is in the distributions, and what is said of them."""

from __future__ import annotations

import email
import tarfile
import zipfile

import pytest
from distributions import build, tracked

from wrg_onnx.version import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def in_wheel(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        return set(wheel.namelist())


@pytest.fixture(scope="module")
def in_sdist(built):
    with tarfile.open(built.sdist) as sdist:
        names = [one.name.partition("/")[2] for one in sdist.getmembers() if one.isfile()]
    return {name for name in names if not name.startswith("wrg_onnx.egg-info/")}


@pytest.fixture(scope="module")
def metadata(built):
    with zipfile.ZipFile(built.wheel) as wheel:
        return email.message_from_bytes(
            wheel.read(f"wrg_onnx-{__version__}.dist-info/METADATA"),
        )


def of_package():
    return {name for name in tracked() if name.startswith("wrg_onnx/")}


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(in_wheel):
    beside = {name for name in in_wheel if name.startswith(f"wrg_onnx-{__version__}.dist-info/")}
    assert in_wheel - beside == of_package()


def test_types_and_what_pages_are_made_of_are_among_them(in_wheel):
    assert "wrg_onnx/py.typed" in in_wheel
    assert "wrg_onnx/report/page/static/charts.min.js" in in_wheel
    assert "wrg_onnx/schemas/prune.v1.json" in in_wheel
    assert "wrg_onnx/report/page/templates/page.html" in in_wheel


def test_the_sdist_has_what_builds_the_wheel_and_what_users_read(in_sdist):
    beside = {
        "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt",
        "PKG-INFO", "setup.cfg",
    }  # fmt: skip
    assert in_sdist == of_package() | beside


def test_the_version_is_the_packages(built, metadata):
    assert metadata["Version"] == __version__
    assert built.sdist.name == f"wrg_onnx-{__version__}.tar.gz"
    assert built.wheel.name == f"wrg_onnx-{__version__}-py3-none-any.whl"


def test_the_licences_of_inlined_scripts_are_named_and_their_notices_enclosed(metadata, in_wheel):
    assert metadata["License-Expression"] == "Apache-2.0 AND BSD-3-Clause AND ISC AND MIT"
    files = metadata.get_all("License-File")
    assert files == ["LICENSE", "wrg_onnx/report/page/static/NOTICES.txt"]
    assert {f"wrg_onnx-{__version__}.dist-info/licenses/{name}" for name in files} <= in_wheel


def test_readme_and_python_are_told(metadata):
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# wrg-onnx\n")


def test_another_build_gives_the_same_wheel(built, tmp_path):
    assert build(tmp_path).wheel.read_bytes() == built.wheel.read_bytes()
