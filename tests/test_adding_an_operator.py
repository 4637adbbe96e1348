"""The page about adding an operator shows code that is in the repository, and that works."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from wrg_onnx.channels import table as rules
from wrg_onnx.channels import traits
from wrg_onnx.graph import Node
from wrg_onnx.twin import table as twins

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding-an-operator.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^`([\w./]+)`:\n\n```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
RULE, TWIN = "wrg_onnx/channels/rules/loss.py", "wrg_onnx/twin/ops/loss.py"
TEST, GRADIENTS = "tests/channels/rules/test_loss.py", "tests/gradient_cases.py"
NODE = Node(
    0, "n", "NegativeLogLikelihoodLoss", "", 22, ("x", "labels", "weight"), ("y",),
    {"reduction": "mean"},
)  # fmt: skip


def load(path):
    """Execute a file of the tests as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"page_{Path(path).stem}", ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def empty_tables(monkeypatch):
    monkeypatch.setattr(rules, "_RULES", rules._Table("rule", rules.Coupling))
    monkeypatch.setattr(rules, "_DERIVATIONS", rules._Table("derivation", rules.Derived))
    monkeypatch.setattr(traits, "_TRAITS", {})
    monkeypatch.setattr(twins, "_TABLE", {})


@pytest.fixture
def tables_of_the_page(empty_tables):  # noqa: ARG001 - it empties them first
    for path, code in BLOCKS:
        if path in (RULE, TWIN):
            module = path.removesuffix(".py").replace("/", ".")
            exec(compile(code, path, "exec"), {"__name__": module})  # noqa: S102


def test_the_page_has_a_block_for_each_file_it_speaks_of():
    assert [path for path, _ in BLOCKS] == [RULE, TWIN, TEST, TEST, GRADIENTS]
    assert PAGE.count("```python") == len(BLOCKS)


@pytest.mark.parametrize(("path", "code"), BLOCKS, ids=lambda value: value.partition("\n")[0])
def test_code_of_the_page_is_in_the_repository_word_for_word(path, code):
    assert code in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.usefixtures("empty_tables")
def test_empty_tables_do_not_know_the_operator():
    assert rules.find_rule(NODE) is None
    assert twins.lookup("", NODE.op, NODE.version) is None


@pytest.mark.usefixtures("tables_of_the_page")
def test_the_pages_own_tests_pass_with_the_tables_that_it_fills():
    assert rules.families().keys() == twins.families().keys() == {("", NODE.op)}
    assert rules.families() == twins.families()
    module = load(TEST)
    code = "\n".join(code for path, code in BLOCKS if path == TEST)
    names = [part.name for part in ast.parse(code).body if isinstance(part, ast.FunctionDef)]
    assert len(names) == 2
    for name in names:
        getattr(module, name)()


@pytest.mark.usefixtures("tables_of_the_page")
def test_the_pages_traits_are_declared_beside_the_rule():
    assert traits.traits_of(NODE) == traits.Traits(per_channel=(2,))


def test_the_pages_cases_prune_exactly():
    module = load(TEST)
    shown = next(code for path, code in BLOCKS if path == TEST)
    found = set(re.findall(r'Case\("([\w-]+)"', shown))
    assert found == {case.name for case in module.CASES}
    for case in module.CASES:
        module.assert_own_validation_accepts(case)


@pytest.mark.usefixtures("tables_of_the_page")
def test_the_pages_gradient_cases_are_checked_against_differences():
    cases = [case for case in load(GRADIENTS).CASES if case.op == NODE.op]
    assert len(cases) == 6
    entry = twins.lookup("", NODE.op, NODE.version)
    for case in cases:
        node = Node(0, "n", case.op, "", case.version, ("x",), ("y",), case.attributes)
        assert torch.autograd.gradcheck(
            lambda *xs, node=node: entry.function(node, *xs), case.inputs
        )
