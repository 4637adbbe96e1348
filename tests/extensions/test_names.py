"""Names that are taken, missing, or brought by packages that fail."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.data.sources import read_address
from wrg_onnx.errors import ExtensionError, UsageError
from wrg_onnx.extend import (
    WEIGHT,
    criterion,
    data_source,
    loss,
    map_factor,
    weights_factor,
)
from wrg_onnx.extensions import Kind
from wrg_onnx.finetune.named_losses import find_loss
from wrg_onnx.pipeline.api.arguments import read_criterion
from wrg_onnx.select import Criterion, criterion_names

CRITERION = """
from wrg_onnx.extend import WEIGHT, criterion

@criterion("{0}", factors=(WEIGHT,), version=1)
def {0}(weight):
    return weight
"""
FACTOR = """
from wrg_onnx.extend import weights_factor

@weights_factor("{0}", version=1)
def {0}(filters):
    return abs(filters).max(axis=1)
"""
LOSS = """
from wrg_onnx.extend import loss

@loss("{0}")
def {0}(outputs, mask, teacher):
    return outputs
"""


def of(kind, name, module):
    return {kind.group: {name: f"{module}:{name}"}}


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.CRITERION, CRITERION), (Kind.FACTOR, FACTOR)], ids=["one", "factor"]
)
def test_a_name_is_listed_before_its_module_is_imported_and_found_when_asked_for(bring, kind, code):
    bring("acme_a", code.format("mine"), of(kind, "mine", "acme_a"))
    assert criterion_names()[-1] == "mine"
    found = Criterion("mine")
    assert (found.name, str(found.origin)) == ("mine", "'acme-a' 1.0")
    assert Criterion("mine") is found
    assert criterion_names().count("mine") == 1


def test_other_packages_are_not_imported(bring):
    bring("acme_a", CRITERION.format("mine"), of(Kind.CRITERION, "mine", "acme_a"))
    bring("acme_b", "raise AssertionError", of(Kind.CRITERION, "other", "acme_b"))
    assert Criterion("mine").name == "mine"
    with pytest.raises(ExtensionError, match=r"criterion 'other' of 'acme-b' 1.0 cannot be loaded"):
        Criterion("other")


@pytest.mark.parametrize("name", ["sel", "hrank"])
def test_a_name_of_ours_is_refused_rather_than_passed_over(bring, name):
    bring("acme_a", CRITERION.format(name), of(Kind.CRITERION, name, "acme_a"))
    with pytest.raises(
        ExtensionError,
        match=f"criterion '{name}' of 'acme-a' 1.0 cannot be loaded from 'acme_a:{name}': "
        f"ValueError: there is a criterion '{name}' already, of 'wrg-onnx'; mend or uninstall",
    ):
        Criterion(name)


@pytest.mark.parametrize("name", ["weight", "rank", "gradient"])
def test_a_factor_with_a_name_of_ours_is_refused(bring, name):
    bring("acme_a", FACTOR.format(name), of(Kind.FACTOR, name, "acme_a"))
    with pytest.raises(ExtensionError, match=f"a factor '{name}' already, of 'wrg-onnx'"):
        Criterion(name)
    assert name not in {known.name for known in map(Criterion, ("sel", "w"))}


def test_two_packages_with_one_name_are_refused_when_it_is_asked_for(bring):
    bring("acme_a", LOSS.format("mine"), of(Kind.LOSS, "mine", "acme_a"))
    bring("acme_b", LOSS.format("mine"), of(Kind.LOSS, "mine", "acme_b"), version="3")
    bring("acme_c", LOSS.format("other"), of(Kind.LOSS, "other", "acme_c"))
    assert find_loss("other").origin.package == "acme-c"
    with pytest.raises(
        ExtensionError, match=r"loss 'mine' is brought by 'acme-a' 1.0 and 'acme-b' 3: uninstall"
    ):
        find_loss("mine")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", r"it would end this program \(SystemExit: 0\)"),
        ("x = (", "SyntaxError: "),
        ("", "AttributeError: module 'acme_a' has no attribute 'mine'"),
    ],
)
def test_a_module_that_fails_is_one_line_with_its_distribution(bring, code, why):
    bring("acme_a", code, of(Kind.LOSS, "mine", "acme_a"))
    for _ in range(2):
        with pytest.raises(
            ExtensionError, match=f"^loss 'mine' of 'acme-a' 1.0 cannot be loaded .*: {why}"
        ) as caught:
            find_loss("mine")
        assert "\n" not in str(caught.value)


def test_an_entry_point_that_registers_another_name_is_refused(bring):
    bring("acme_a", LOSS.format("theirs"), {Kind.LOSS.group: {"mine": "acme_a:theirs"}})
    with pytest.raises(
        ExtensionError,
        match=r"loss 'mine' of 'acme-a' 1.0 is not there: 'acme_a:theirs' registers no loss",
    ):
        find_loss("mine")


@pytest.mark.usefixtures("bring")
@pytest.mark.parametrize(
    ("register", "what"),
    [
        (lambda name: criterion(name, factors=(WEIGHT,), version=1)(lambda w: w), "criterion"),
        (lambda name: map_factor(name, version=1)(np.sum), "criterion"),
        (lambda name: weights_factor(name, version=1)(np.sum), "criterion"),
        (lambda name: loss(name)(lambda *_: None), "loss"),
        (lambda name: data_source(name)(lambda _: []), "data source"),
    ],
    ids=["criterion", "map_factor", "weights_factor", "loss", "data_source"],
)
def test_a_name_that_a_module_took_is_refused_saying_which(register, what):
    register("mine")
    with pytest.raises(
        ValueError, match=f"there is a {what} 'mine' already, of the module '.*test_names'"
    ):
        register("mine")


@pytest.mark.usefixtures("bring")
@pytest.mark.parametrize("name", ["", "a", "Mine", "a,b", "a:b", "a b", "-mine", "1st"])
def test_a_name_that_no_option_could_give_is_refused(name):
    for register in (
        lambda: criterion(name, factors=(WEIGHT,), version=1),
        lambda: loss(name),
        lambda: data_source(name),
    ):
        with pytest.raises(ValueError, match="two or more lower-case letters"):
            register()


def test_an_unknown_name_is_answered_with_the_nearest(bring):
    bring("acme_a", LOSS.format("focal"), of(Kind.LOSS, "focal", "acme_a"))
    bring("acme_b", FACTOR.format("energy"), of(Kind.FACTOR, "energy", "acme_b"))
    with pytest.raises(UsageError, match=r"brings \('focal'\); got 'focl' \(did you mean 'focal'"):
        find_loss("focl")
    with pytest.raises(UsageError, match=r"'energy', got 'energie' \(did you mean 'energy'\?\)"):
        read_criterion("energie")


def test_a_folder_that_is_there_goes_before_a_source(bring, tmp_path, monkeypatch):
    bring("acme_a", "", of(Kind.DATA_SOURCE, "stack", "acme_a"))
    monkeypatch.chdir(tmp_path)
    assert str(read_address("stack:s3://x//y/")) == "stack:s3://x//y/"
    for text in ("stak:x", "stack", "C:\\images", "./stack:x"):
        assert read_address(text) is None
    (tmp_path / "stack:x").mkdir()
    assert read_address("stack:x") is None
