"""The networks that the tests of the channel rules prune, for the tests of the twin."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from operator_cases import Case

RULES = Path(__file__).parent / "channels" / "rules"


def operator_cases(stem):
    """Return the cases of one file of tests by name."""
    spec = importlib.util.spec_from_file_location(f"cases_of_{stem}", RULES / f"{stem}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    lists = [value for value in vars(module).values() if isinstance(value, list)]
    return {case.name: case for found in lists for case in found if isinstance(case, Case)}


def families():
    """Return the names of the files that may hold cases."""
    return sorted(path.stem for path in RULES.glob("test_*.py"))
