"""What a user reads of the API: defaults, documentation, examples, types."""

from __future__ import annotations

import doctest
import inspect
import pydoc
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wrg_onnx
from wrg_onnx.finetune import FinetuneOptions
from wrg_onnx.pipeline.config import BenchConfig, DataOptions, PruneConfig, ValidateConfig
from wrg_onnx.select import Criterion
from wrg_onnx.tsod import FilterOptions, MakeOptions

ROOT = Path(wrg_onnx.__file__).parents[1]
NAMES = [
    "bench",
    "cache",
    "export",
    "finetune",
    "inspect",
    "prune",
    "sweep",
    "tsod_filter",
    "tsod_make",
    "validate",
]
each_function = pytest.mark.parametrize("name", NAMES)


OWN = {"data", "cache", "workers", "ratio", "budget"}
"""Those whose records hold another type than the user gives, and the one without a default."""


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("bench", [BenchConfig(), BenchConfig().timing, DataOptions()]),
        ("prune", [PruneConfig(0.5), DataOptions()]),
        ("sweep", [PruneConfig(0.5), DataOptions()]),
        ("validate", [ValidateConfig(), DataOptions()]),
        ("inspect", [PruneConfig(0.5), DataOptions()]),
        ("finetune", [FinetuneOptions()]),
        ("tsod_make", [MakeOptions()]),
        ("tsod_filter", [FilterOptions()]),
    ],
)
def test_defaults_are_those_of_the_records(name, records):
    compared = 0
    for parameter in inspect.signature(getattr(wrg_onnx, name)).parameters.values():
        for record in records:
            if hasattr(record, parameter.name) and parameter.name not in OWN:
                default = getattr(record, parameter.name)
                default = default.name if isinstance(default, Criterion) else default
                assert getattr(default, "value", default) == parameter.default, parameter.name
                compared += 1
    assert compared >= 2


@each_function
def test_every_parameter_is_documented_in_order(name):
    function = getattr(wrg_onnx, name)
    arguments = re.search(r"Args:\n(.*?)\n\n    \w+:\n", function.__doc__, re.DOTALL)[1]
    documented = re.findall(r"^        (\w+): ", arguments, re.MULTILINE)
    assert documented == list(inspect.signature(function).parameters)
    for section in ("Returns:", "Raises:", "Examples:"):
        assert section in function.__doc__


@each_function
def test_help_shows_the_signature_and_fits_a_terminal(name):
    text = pydoc.plain(pydoc.render_doc(getattr(wrg_onnx, name)))
    assert f"{name}(" in text
    for line in inspect.getdoc(getattr(wrg_onnx, name)).splitlines():
        assert len(line) <= 96


@each_function
def test_the_examples_do_what_they_say(name, tmp_path, monkeypatch):
    if name in ("export", "finetune"):
        pytest.importorskip("torch")
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestFinder(recurse=False).find(getattr(wrg_onnx, name), name)
    assert sum(len(example.examples) for example in examples) >= 3
    for example in examples:
        runner = doctest.DocTestRunner()
        runner.run(example)
        assert runner.failures == 0


USER = """
import onnx
import wrg_onnx


def shrink(model: onnx.ModelProto) -> onnx.ModelProto:
    result = wrg_onnx.prune(model, ratio=0.5, criterion="l1", recover=wrg_onnx.Recovery.NONE)
    print(result.report.reached + 0.5)
    tuned: wrg_onnx.ModelResult[wrg_onnx.FinetuneReport] = wrg_onnx.finetune(
        result.model, teacher=model, epochs=1
    )
    tuned.save("tuned.onnx", force=True)
    same = wrg_onnx.validate(model, "tuned.onnx", data="images").report.problems
    return onnx.ModelProto() if same else tuned.model
"""


@pytest.mark.slow
def test_a_users_file_passes_mypy_strict(tmp_path):
    if shutil.which("mypy", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("mypy is not installed")
    file = tmp_path / "user.py"
    wrong = "\nwrg_onnx.prune('m.onnx', ratio='half').report.nothing\n"
    found = []
    for text in (USER, USER + wrong):
        file.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml",
             "--cache-dir", ROOT / ".mypy_cache", file],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found.append(done.stdout)
    assert found[0].startswith("Success"), found[0]
    assert 'incompatible type "str"; expected "float | None"' in found[1]
    assert '"PruneReport" has no attribute "nothing"' in found[1]
