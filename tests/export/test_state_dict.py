"""The weights of a file, as they are or as training scripts wrap them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from wrg_onnx.errors import ModelError
from wrg_onnx.export.state_dict import load_weights


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Conv2d(4, 1, 1)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


@pytest.mark.parametrize(
    ("save", "name"), [(torch.save, "weights.pt"), (save_file, "weights.safetensors")]
)
def test_a_state_dict_is_loaded(net, tmp_path, save, name):
    expected = {key: value + 1 for key, value in net.state_dict().items()}
    save(expected, tmp_path / name)
    load_weights(net, tmp_path / name)
    assert all(torch.equal(value, expected[key]) for key, value in net.state_dict().items())


def test_keys_that_do_not_fit_are_named_and_nothing_is_loaded(net, tmp_path):
    before = {key: value.clone() for key, value in net.state_dict().items()}
    weights = {key: value + 1 for key, value in before.items()}
    weights["other.weight"] = weights.pop("conv.weight")
    weights["head.bias"] = torch.zeros(2)
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(ModelError) as caught:
        load_weights(net, tmp_path / "weights.pt")
    assert "1 missing ('conv.weight')" in str(caught.value)
    assert "1 unexpected ('other.weight')" in str(caught.value)
    assert "1 of another shape ('head.bias [2] for [1]')" in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_file_that_would_run_code_is_refused_and_not_run(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv.weight": Hostile()}, "weights.pt")
    with pytest.raises(ModelError, match="could run code"):
        load_weights(net, Path("weights.pt"))
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04"])
def test_a_file_without_weights_is_refused(net, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=name):
        load_weights(net, tmp_path / name)


@pytest.mark.parametrize(("save", "name"), [(torch.save, "w.pt"), (save_file, "w.safetensors")])
def test_a_truncated_file_is_refused(net, tmp_path, save, name):
    path = tmp_path / name
    save(net.state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="truncated"):
        load_weights(net, path)


@pytest.mark.parametrize("name", ["absent.pt", "absent.safetensors"])
def test_an_absent_file_is_named(net, tmp_path, name):
    with pytest.raises(ModelError, match=f"{name}': cannot be read: No such file"):
        load_weights(net, tmp_path / name)


@pytest.mark.parametrize(
    "content", [{"state_dict": {}, "epoch": 3}, [torch.zeros(1)], {"epoch": 3}, 7]
)
def test_a_file_without_a_state_dict_is_refused(net, tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="must hold a state dict"):
        load_weights(net, tmp_path / "weights.pt")


def behind(prefix, weights):
    return {prefix + key: value for key, value in weights.items()}


STEPS = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]}
WRAPPED = {
    "state_dict": (lambda w: {"state_dict": w, "epoch": 3}, "['state_dict'] of 'w.pt'"),
    "model": (lambda w: {"model": w, "optimizer": STEPS}, "['model'] of 'w.pt'"),
    "ema": (lambda w: {"ema": {"shadow": w, "decay": 0.9}}, "['ema']['shadow'] of 'w.pt'"),
    "parallel": (lambda w: behind("module.", w), "the file's own, 'module.*' of 'w.pt'"),
    "both": (
        lambda w: {"state_dict": behind("module.", w)}, "['state_dict'], 'module.*' of 'w.pt'",
    ),
    "compiled": (lambda w: behind("_orig_mod.module.", w), "the file's own, '_orig_mod.module.*'"),
    "lightning": (
        lambda w: {"state_dict": behind("model.", w) | {"loss.weight": torch.ones(2)}},
        "['state_dict'], 'model.*' of 'w.pt', 1 others beside it left out",
    ),
    "averaged": (
        lambda w: behind("module.", w) | {"n_averaged": torch.tensor(4)},
        "the file's own, 'module.*' of 'w.pt', 1 others beside it left out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_a_training_script_wraps_is_loaded_and_told(net, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    wrap, told = WRAPPED[kind]
    expected = {key: value + 1 for key, value in net.state_dict().items()}
    torch.save(wrap(expected), "w.pt")
    assert load_weights(net, Path("w.pt")).startswith(told)
    assert all(torch.equal(value, expected[key]) for key, value in net.state_dict().items())


def test_a_plain_state_dict_says_nothing(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "w.pt")
    assert load_weights(net, tmp_path / "w.pt") is None


def test_of_two_that_fit_none_is_taken(net, tmp_path):
    weights = net.state_dict()
    torch.save({"model": weights, "ema": behind("module.", weights)}, tmp_path / "w.pt")
    with pytest.raises(ModelError) as caught:
        load_weights(net, tmp_path / "w.pt")
    assert "2 state dicts in it fit Net: ['model'] and ['ema'], 'module.*'" in str(caught.value)


def test_of_two_the_one_that_fits_is_taken(net, tmp_path):
    other = {"discriminator": nn.Linear(2, 2).state_dict(), "generator": net.state_dict()}
    torch.save(other, tmp_path / "w.pt")
    assert load_weights(net, tmp_path / "w.pt").startswith("['generator']")


def test_of_those_that_do_not_fit_the_nearest_is_named(net, tmp_path):
    weights = dict(net.state_dict())
    del weights["head.bias"]
    found = {"model": behind("module.", weights), "ema": {"decay": torch.tensor(0.9)}}
    torch.save(found, tmp_path / "w.pt")
    with pytest.raises(ModelError) as caught:
        load_weights(net, tmp_path / "w.pt")
    assert "its state dict ['model'], 'module.*' does not fit Net" in str(caught.value)
    assert "1 missing ('head.bias')" in str(caught.value)
