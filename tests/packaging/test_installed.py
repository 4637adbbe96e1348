"""The wheel in an empty environment, without torch, in a folder that is not ours.

WRG_PYTHONS names other interpreters than the one that runs the tests, such as
``python3.12:python3.13``.
"""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
from distributions import ROOT
from locked_packages import locked
from required import require

pytestmark = pytest.mark.slow

OTHERS = [name for name in os.environ.get("WRG_PYTHONS", "").split(os.pathsep) if name]


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and a folder with a model to work in."""

    environment: Path
    folder: Path

    def run(self, command, *arguments) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in the folder."""
        return subprocess.run(
            [self.environment / "bin" / command, *arguments], cwd=self.folder, env=outside(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip


def outside():
    """Return the variables of this process without those that name its code."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def pip(environment, *arguments):
    done = subprocess.run(
        [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", *arguments],
        env=outside(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    require(done.returncode == 0, f"pip could not do it: {done.stdout[-500:]}{done.stderr[-1000:]}")


@pytest.fixture(scope="module", params=["own", *OTHERS])
def installed(request, built, tmp_path_factory):
    python = sys.executable if request.param == "own" else shutil.which(request.param)
    assert python is not None, f"no {request.param} here, which WRG_PYTHONS names"
    base = tmp_path_factory.mktemp("installed")
    environment, folder = base / "environment", base / "work"
    subprocess.run([python, "-m", "venv", environment], env=outside(), check=True)
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = (one for one in wheel.namelist() if one.endswith(".dist-info/METADATA"))
        asked = email.message_from_bytes(wheel.read(name)).get_all("Requires-Dist")
    needed = base / "needed.txt"
    needed.write_text(locked(asked, extra="cpu"), encoding="utf-8")
    pip(environment, "install", "--require-hashes", "--no-deps", "--requirement", needed)
    pip(environment, "install", "--no-index", f"{built.wheel}[cpu]")
    pip(environment, "check")
    folder.mkdir()
    shutil.copyfile(ROOT / "models" / "tiny_unet.onnx", folder / "tiny_unet.onnx")
    yield Installed(environment, folder)
    shutil.rmtree(environment)


def test_it_is_the_wheel_that_runs_and_torch_is_not_there(installed):
    done = installed.run(
        "python",
        "-c",
        "import importlib.util, wrg_onnx; print(wrg_onnx.__file__);"
        "print(importlib.util.find_spec('torch'), importlib.util.find_spec('py_sod_metrics'))",
    )
    where, without = done.stdout.splitlines()
    assert Path(where).is_relative_to(installed.environment)
    assert without == "None None"


def test_the_demo_is_pruned_and_proven(installed):
    done = installed.run(
        "wrg-onnx", "prune", "tiny_unet.onnx", "half.onnx", "--ratio", "0.5", "--criterion", "l1",
        "--force",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Proof: 50.0% of the parameters are gone" in done.stdout
    onnx.checker.check_model(installed.folder / "half.onnx")


def test_the_page_of_a_run_has_its_scripts_and_styles(installed):
    done = installed.run(
        "wrg-onnx", "prune", "tiny_unet.onnx", "paged.onnx", "--ratio", "0.5", "--criterion", "l1",
        "--report", "page.html", "--force",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (installed.folder / "page.html").read_text(encoding="utf-8")
    static = ROOT / "wrg_onnx" / "report" / "page" / "static"
    assert (static / "page.css").read_text(encoding="utf-8").strip() in page


@pytest.mark.parametrize(
    "arguments",
    [
        ("prune", "tiny_unet.onnx", "--ratio", "0.5", "--criterion", "sel", "--no-evaluate"),
        ("prune", "tiny_unet.onnx", "--ratio", "0.5", "--recover", "finetune", "--no-evaluate"),
        ("finetune", "tiny_unet.onnx", "--no-evaluate"),
        ("export", "os:getcwd", "--input", "1x3x32x32"),
    ],
    ids=["sel", "recover", "finetune", "export"],
)
def test_what_needs_torch_says_so_in_one_line_and_writes_nothing(installed, arguments):
    before = sorted(installed.folder.iterdir())
    done = installed.run("wrg-onnx", *arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "needs torch, which is not installed: pip install 'wrg-onnx[torch]'" in line
    assert sorted(installed.folder.iterdir()) == before


def test_judging_masks_asks_for_the_metrics(installed):
    done = installed.run("wrg-onnx", "prune", "tiny_unet.onnx", "--ratio", "0.5")
    assert done.returncode == 1
    assert "pip install 'wrg-onnx[metrics]'" in done.stderr
