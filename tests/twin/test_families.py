"""One operator, one file name: the rules of the channels and the twin have the same families."""

from __future__ import annotations

from pathlib import Path

import pytest

import wrg_onnx.channels.rules
import wrg_onnx.twin.ops
from wrg_onnx.channels.table import families as families_of_rules
from wrg_onnx.twin.forms import form_families
from wrg_onnx.twin.table import families


def families_of_twins():
    """By (domain, operator), the files that hold its functions and its float form."""
    found = {key: set(names) for key, names in families().items()}
    for key, name in form_families().items():
        found.setdefault(key, set()).add(name)
    return found


FOLDERS = {
    wrg_onnx.channels.rules: families_of_rules,
    wrg_onnx.twin.ops: families_of_twins,
}


def files_of(package):
    return {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}


def test_an_operator_in_both_tables_stands_in_files_of_one_name():
    rules, twins = families_of_rules(), families_of_twins()
    shared = rules.keys() & twins.keys()
    assert len(shared) == len(rules)
    assert {key: (rules[key], twins[key]) for key in shared if rules[key] != twins[key]} == {}


@pytest.mark.parametrize("families", FOLDERS.values(), ids=lambda f: f.__module__)
def test_all_versions_of_an_operator_stand_in_one_file(families):
    assert {key: names for key, names in families().items() if len(names) > 1} == {}


@pytest.mark.parametrize("package", FOLDERS, ids=lambda package: package.__name__)
def test_every_file_of_a_family_registers_an_operator(package):
    registered = {name for names in FOLDERS[package]().values() for name in names}
    assert registered == files_of(package)


def test_both_folders_have_the_same_files():
    assert files_of(wrg_onnx.channels.rules) == files_of(wrg_onnx.twin.ops)
