"""What is misspelt is answered with what may be meant."""

from __future__ import annotations

import onnx
import pytest
from strategies import build


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (("prun", "m.onnx"), "'prune'"),
        (("tsod", "fliter"), "'filter'"),
        (("inspect", "m.onnx", "--kepe", "a"), "'--keep'"),
        (("prune", "m.onnx", "--ratio", 0.5, "--budget", "mac"), "'macs'"),
        (("prune", "m.onnx", "--ratio", 0.5, "--provider", "CUDA"), "'cuda'"),
        (("sweep", "m.onnx", "--scope", "golbal"), "'global'"),
        (("tsod", "make", "--background", "skyy"), "'sky'"),
        (("inspect", "m.onnx", "--layout", "nhwc"), "'NHWC'"),
    ],
)
def test_commands_options_and_their_values_are_asked_for(run, command, meant):
    done = run(*command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"id you mean {meant}?" in done.stderr


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (("--keep", "frist.weight"), "'first.weight'"),
        (("--only", "FIRST.weight"), "'first.weight'"),
        (("--keep", "*frist*"), "'*first*'"),
        (("--only", "scond.*"), "'second.*'"),
        (("--shape", "imag=1x3x8x8"), "'image'"),
        (("--value", "imgae=3"), "'image'"),
    ],
)
def test_names_of_the_model_are_asked_for(refused, model, options, meant):
    assert f"(did you mean {meant}?)" in refused("inspect", model, *options, code=2)


@pytest.mark.parametrize("glob", ["qqq*", "xyz", "[ab]?c*d", "*.*.*.*", "?"])
def test_nothing_is_asked_where_nothing_is_like_it(refused, model, glob):
    assert "did you mean" not in refused("inspect", model, "--keep", glob, code=2)


def test_metrics_and_providers_are_asked_for(refused, model):
    assert "(did you mean 'max F'?)" in refused("sweep", model, "--metric", "max G", code=2)
    assert "(did you mean 'cpu'?)" in refused("bench", model, "--provider", "cpuu", code=2)


@pytest.mark.parametrize(
    ("op", "asked"),
    [("own.Relu6", " (did you mean 'Relu'?)"), ("own.Gelu", " (did you mean 'Gelu'?)"),
     ("own.Mystery", "")],
)  # fmt: skip
def test_an_operator_without_a_rule_is_asked_for(refused, folder, op, asked):
    body = f"net (float[1,3,6,6] x) => (float[1,3,6,6] y) {{ y = {op}(x) }}"
    onnx.save(build(body, {}, domains=("own",)), folder / "own.onnx")
    assert f"no rule for {op} '{op.replace('own.', '')}_0' (opset 1){asked}: without" in refused(
        "inspect", "own.onnx", "--strict"
    )
