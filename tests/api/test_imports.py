"""What importing the package, and asking for help, loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wrg_onnx
from wrg_onnx import errors

HEAVY = ("onnx", "onnxruntime", "onnx_graphsurgeon", "scipy", "torch", "click", "rich", "numpy",
         "PIL", "py_sod_metrics")  # fmt: skip
LOADED = f"; import sys; print(*sorted({{*{HEAVY}}} & {{*sys.modules}}))"


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + LOADED], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import wrg_onnx") == set()


def test_looking_at_the_functions_loads_nothing_heavy():
    assert loaded_by("import wrg_onnx as w; w.prune, w.finetune, w.validate, dir(w)") == set()


def test_the_face_for_others_loads_numpy_alone():
    assert loaded_by("import wrg_onnx.extend as e; dir(e)") == {"numpy"}


def test_a_rule_of_others_is_registered_without_torch():
    assert "torch" not in loaded_by("from wrg_onnx.extend import loss, op_rule, data_source")


HELP = "from wrg_onnx.cli import main; main({}, standalone_mode=False)"


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ([], {"click"}),
        (["bench"], {"click"}),
        (["export"], {"click"}),
        (["finetune"], {"click"}),
        (["inspect"], {"click"}),
        (["validate"], {"click"}),
        (["prune"], {"click", "numpy"}),
        (["sweep"], {"click", "numpy"}),
        (["tsod"], {"click", "numpy", "PIL"}),
        (["tsod", "make"], {"click", "numpy", "PIL"}),
    ],
)
def test_help_loads_no_more_than_it_shows(command, allowed):
    assert loaded_by(HELP.format([*command, "--help"])) <= allowed


@pytest.mark.parametrize("folder", ["factors", "select"])
def test_selection_needs_numpy_alone(folder):
    assert loaded_by(f"import wrg_onnx.{folder}") == {"numpy"}


def test_making_images_needs_numpy_and_pillow_alone(tmp_path):
    code = f"import wrg_onnx; wrg_onnx.tsod_make({str(tmp_path / 'made')!r}, count=1, size=32)"
    assert loaded_by(code) == {"numpy", "PIL"}


def test_every_error_is_exported():
    kinds = {
        name
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, Exception)
    }
    assert kinds <= {*wrg_onnx.__all__}
    assert all(getattr(wrg_onnx, name) is getattr(errors, name) for name in kinds)


def test_dir_lists_what_is_not_imported_yet():
    assert {*wrg_onnx.__all__} <= {*dir(wrg_onnx)}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'wrg_onnx' has no attribute 'prun'"):
        _ = wrg_onnx.prun


@pytest.mark.parametrize("name", ["export", "finetune"])
def test_a_function_stays_one_when_the_folder_of_its_name_is_imported(name):
    code = f"""
import wrg_onnx, importlib
before = wrg_onnx.{name}
folder = importlib.import_module("wrg_onnx.{name}")
from wrg_onnx.{name} import options
assert before is wrg_onnx.{name} and callable(before) and folder is not before
"""
    for text in (code, f"import wrg_onnx.{name}, wrg_onnx; assert callable(wrg_onnx.{name})"):
        subprocess.run([sys.executable, "-W", "error", "-c", text], check=True)
