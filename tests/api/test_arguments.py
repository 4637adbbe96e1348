"""A wrong argument is a UsageError of one line that says what is allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wrg_onnx
from wrg_onnx.pipeline.api import arguments

PRUNE = {"ratio": 0.5, "criterion": "l1"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ratio": 1.2}, r"ratio must be in \[0, 1\), got 1.2"),
        ({"ratio": "half"}, "ratio must be a number, got 'half'"),
        ({"ratio": True}, "ratio must be a number, got True"),
        (
            {"budget": "hours"},
            "budget must be one of 'params', 'macs', 'bytes', 'latency', got 'hours'",
        ),
        ({"max_macs": 5}, "give one of ratio, max_drop, max_params"),
        ({"criterion": "best"}, "criterion must be one of 'sel', 'w', .*'taylor', got 'best'"),
        ({"scope": None}, "scope must be one of 'global', 'uniform', got None"),
        ({"recover": "all"}, "recover must be one of 'none', 'bias', 'ridge', 'finetune', got"),
        ({"provider": "tpu"}, "provider must be one of 'auto', 'cpu', 'cuda', got 'tpu'"),
        ({"rounds": 1.5}, "rounds must be an integer, got 1.5"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"evaluate": "no"}, "evaluate must be True or False, got 'no'"),
        ({"keep": 3}, "keep must be a text or a list of texts, got 3"),
        ({"size": "224"}, r"size must be \(height, width\) in pixels or one number, got '224'"),
        ({"size": (1, 2, 3)}, r"got \(1, 2, 3\)"),
        ({"size": 0}, "size must be"),
        ({"mean": "0.5"}, "mean must be a number per channel, got '0.5'"),
        ({"order": "gbr"}, "order must be one of 'rgb', 'bgr', got 'gbr'"),
        ({"layout": "CHW"}, "layout must be one of 'NCHW', 'NHWC', got 'CHW'"),
        ({"shape": (1, 3)}, r"shape must be a dict with inputs as keys, got \(1, 3\)"),
        ({"shape": {"image": 3}}, r"shape must be sizes such as \(1, 3, 224, 224\), got 3"),
        ({"value": {"image": "x"}}, "value must be a number, got 'x'"),
        ({"data": 3}, "data must be a path, got 3"),
        ({"cache": 3}, "cache must be a path, got 3"),
        ({"output": 3}, "output must be a path, got 3"),
        ({"output": "out.txt"}, r"output 'out.txt' must end in \.onnx"),
        (
            {"model": [3]},
            r"model must be a path, the bytes of a file or an onnx.ModelProto, got \[3\]",
        ),
        ({"amp": True}, "amp is for gradients"),
    ],
)
def test_a_wrong_argument_of_prune_is_named(tiny_unet, wrong, words):
    call = {"model": tiny_unet, **PRUNE, **wrong}
    with pytest.raises(wrg_onnx.UsageError, match=words) as caught:
        wrg_onnx.prune(**call)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (wrg_onnx.bench, "bench takes at least one model"),
        (lambda: wrg_onnx.bench("m.onnx", rounds=0), "rounds must be at least 1, got 0"),
        (lambda: wrg_onnx.bench("m.onnx", warmup=-1), "warmup must be at least 0, got -1"),
        (lambda: wrg_onnx.bench("m.onnx", threads=0), "threads must be in 1 to .* got 0"),
        (lambda: wrg_onnx.bench("m.onnx", threads="2"), "threads must be an integer, got '2'"),
        (lambda: wrg_onnx.bench("m.onnx", processes=0), "processes must be at least 1, got 0"),
        (lambda: wrg_onnx.bench("m.onnx", batch=0), "batch must be at least 1, got 0"),
        (lambda: wrg_onnx.bench("m.onnx", batch="8"), "batch must be an integer, got '8'"),
        (lambda: wrg_onnx.bench("m.onnx", batch=(1, 2.5)), "batch must be an integer, got 2.5"),
        (lambda: wrg_onnx.bench("m.onnx", profile="yes"), "profile must be True or False"),
        (lambda: wrg_onnx.bench("m.onnx", provider="abacus"), "provider abacus: this ONNX Runtime"),
        (lambda: wrg_onnx.bench("m.onnx", provider=3), "provider must be a text, got 3"),
        (lambda: wrg_onnx.inspect("m.onnx", floor=0), r"floor must be in \(0, 1\], got 0"),
        (lambda: wrg_onnx.validate("m.onnx", "m.onnx", seed=-1), "seed must be at least 0"),
        (lambda: wrg_onnx.finetune("m.onnx", ema=2), r"ema must be in \[0, 1\), got 2"),
        (lambda: wrg_onnx.finetune("m.onnx", loss=3), "loss must be a text, got 3"),
        (lambda: wrg_onnx.finetune("m.onnx", resume=True), "resume goes on from a checkpoint"),
        (lambda: wrg_onnx.finetune("m.onnx", device="gpu"), "device must be one of 'auto', 'cpu'"),
        (lambda: wrg_onnx.export("a:b", input=()), "a shape for each input"),
        (lambda: wrg_onnx.export("a:b", input="1x3"), "input must be sizes such as"),
        (lambda: wrg_onnx.export("a:b", input=(1, 3), exporter="x"), "exporter must be one of"),
        (lambda: wrg_onnx.tsod_make(count=0), "count must be in 1 to 1,000,000, got 0"),
        (lambda: wrg_onnx.tsod_make(background="moon"), "no background 'moon': there are"),
        (lambda: wrg_onnx.tsod_filter("d", threshold=0.5), "threshold must be an integer, got 0.5"),
    ],
)
def test_a_wrong_argument_of_another_function_is_named(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wrg_onnx.UsageError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_enums_and_their_values_mean_the_same():
    for value in ("macs", wrg_onnx.BudgetKind.MACS):
        kind = arguments.read_choice("budget", wrg_onnx.BudgetKind, value)
        assert kind is wrg_onnx.BudgetKind.MACS
    for value in ("hrank", "r", wrg_onnx.Criterion("r")):
        assert arguments.read_criterion(value) is wrg_onnx.Criterion("r")


def test_numbers_of_numpy_are_numbers():
    ratio = arguments.read_number("ratio", np.float32(0.5))
    assert (ratio, type(ratio)) == (0.5, float)
    rounds = arguments.read_count("rounds", np.int64(3))
    assert (rounds, type(rounds)) == (3, int)
    assert arguments.read_size("size", np.int64(32)) == (32, 32)


def test_one_glob_is_not_taken_for_its_letters():
    assert arguments.read_limits("*head*", (), head_dims=False).keep == ("*head*",)


def test_paths_may_be_texts():
    assert arguments.read_model("model", "m.onnx") == Path("m.onnx")
    assert arguments.read_optional_path("data", None) is None
