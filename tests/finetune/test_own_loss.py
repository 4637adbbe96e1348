"""The user's own loss: how it is called, and what is refused."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from wrg_onnx.errors import UsageError  # noqa: E402
from wrg_onnx.finetune.finetune import finetune  # noqa: E402

CODE = """
import torch

seen = []

def square(outputs, mask, teacher):
    seen.append((sorted(outputs), mask, teacher))
    return (outputs["map"] - mask).square().mean()

def like_teacher(outputs, mask, teacher):
    assert mask is None
    return (outputs["map"] - teacher["map"]).square().mean()

def fails(outputs, mask, teacher):
    return outputs["mask"]

def vector(outputs, mask, teacher):
    return outputs["map"].mean(dim=(1, 2, 3))

def number(outputs, mask, teacher):
    return 1.0

def detached(outputs, mask, teacher):
    return outputs["map"].detach().mean()

def infinite(outputs, mask, teacher):
    return outputs["map"].sum() / 0

constant = 3
"""


@pytest.fixture(autouse=True)
def losses(tmp_path, monkeypatch):
    (tmp_path / "my_losses.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    yield
    import sys

    sys.modules.pop("my_losses", None)


@pytest.fixture
def train(kit):
    def run(function, teacher=None, *, masks=True):
        options = kit.options(loss=f"my_losses:{function}", augment=False)
        return finetune(kit.student(), teacher, kit.data(masks=masks), {}, options)

    return run


def test_it_gets_outputs_and_masks_and_is_made_smaller(train):
    tuned = train("square")
    assert tuned.loss_after < tuned.loss_before
    assert tuned.objective == "the loss my_losses:square"
    import my_losses

    names, mask, teacher = my_losses.seen[-1]
    assert names == ["map"]
    assert mask.shape[1:] == (1, 16, 16)
    assert teacher is None


def test_it_gets_the_outputs_of_the_teacher(train, kit):
    assert train("like_teacher", kit.net(), masks=False).loss_before > 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", r"fails on the outputs 'map' \[3, 1, 16, 16\] and the mask .*KeyError: 'mask'"),
        ("vector", r"must return a scalar tensor, got \[3\]"),
        ("number", "must return a scalar tensor, got float"),
        ("detached", "has no gradient"),
        ("constant", "has no function 'constant'"),
        ("absent", "has no function 'absent'"),
    ],
)
def test_what_is_no_loss_is_refused(train, function, message):
    with pytest.raises(UsageError, match=message):
        train(function)


def test_a_loss_that_is_not_finite_is_refused(train):
    from wrg_onnx.errors import StatisticsError

    with pytest.raises(StatisticsError, match="the loss of finite outputs is NaN or infinity"):
        train("infinite")


@pytest.mark.parametrize("spec", ["my_losses", "my_losses.py:square", "gone:square", ":square"])
def test_what_is_not_module_and_function_is_refused(kit, spec):
    with pytest.raises(UsageError, match=f"loss.*'{spec}|'{spec}'"):
        finetune(kit.student(), None, kit.data(), {}, kit.options(loss=spec))
