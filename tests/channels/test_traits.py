"""What stages ask of an operator stands beside its rule, once, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import onnx
import pytest

import wrg_onnx
from wrg_onnx.channels import LayerForm, Traits, traits_of
from wrg_onnx.channels.table import registered
from wrg_onnx.channels.traits import _TRAITS, op_traits, traits_named
from wrg_onnx.graph import Node

PACKAGE = Path(wrg_onnx.__file__).parent
REGISTRIES = (
    PACKAGE / "channels" / "rules",
    PACKAGE / "twin" / "ops",
    PACKAGE / "twin" / "kernels",  # of single families
)


@pytest.fixture
def unknown_operator():
    yield "Unheard"
    _TRAITS.pop(("", "Unheard"), None)


def test_declarations_of_one_operator_are_joined(unknown_operator):
    op_traits(Traits(keeps_zeros=True), unknown_operator)
    op_traits(Traits(per_channel=(2,)), unknown_operator)
    assert traits_named(unknown_operator) == Traits(keeps_zeros=True, per_channel=(2,))


def test_a_trait_is_declared_once(unknown_operator):
    op_traits(Traits(keeps_zeros=True), unknown_operator)
    with pytest.raises(ValueError, match=r"'\.Unheard' declares 'keeps_zeros' twice"):
        op_traits(Traits(keeps_zeros=True), unknown_operator)


def test_of_an_unknown_operator_nothing_is_known():
    assert traits_of(Node(0, "n", "Unheard", "", 1, (), ())) == Traits()


def test_a_domain_has_traits_of_its_own():
    assert traits_named("FusedConv", "com.microsoft").layer is LayerForm.FUSED
    assert traits_named("FusedConv").layer is None


def test_every_operator_with_traits_has_a_rule():
    ruled = {(domain, name) for domain, name, _, _ in registered()}
    assert set(_TRAITS) <= ruled


def test_what_keeps_zeros_makes_zeros_of_zeros_alone():
    # Flatten keeps zeros but is not known to vanish: nothing asks it between a filter and a sum
    kept = {key for key, traits in _TRAITS.items() if traits.keeps_zeros} - {("", "Flatten")}
    assert kept <= {key for key, traits in _TRAITS.items() if traits.zero_at_zero}


def names_of_operators():
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    return known | {name for _, name, _, _ in registered()}


def tables_of(path):
    """Yield the names of module variables whose value holds two operators' names or more."""
    operators = names_of_operators()
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            strings = {n.value for n in ast.walk(statement.value) if isinstance(n, ast.Constant)}
            if len(operators & {s for s in strings if isinstance(s, str)}) > 1:
                targets = getattr(statement, "targets", None) or [statement.target]
                yield f"{path.relative_to(PACKAGE)}: {ast.unparse(targets[0])}"


def test_no_table_of_operators_stands_outside_the_two_registries():
    files = [p for p in PACKAGE.rglob("*.py") if not any(r in p.parents for r in REGISTRIES)]
    assert [table for path in sorted(files) for table in tables_of(path)] == []


def test_a_table_of_operators_would_be_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    (tmp_path / "file.py").write_text('_KEPT = frozenset({"Conv", "Gemm"})\n_WORDS = ("a", "b")\n')
    assert list(tables_of(tmp_path / "file.py")) == ["file.py: _KEPT"]
