"""Packages of others in processes of their own: found by the command line, and by its workers."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from extension_package import environment_of, install
from processes import start_two
from programs import run_program

from wrg_onnx.extensions import SWITCH, Kind

FACTOR = """
print("imported")
import numpy as np
from wrg_onnx.extend import map_factor

@map_factor("energy", version=1)
def energy(maps):
    {body}
"""
ENERGY = "return np.square(maps, dtype=np.float64).mean(axis=(2, 3))"
POINTS = {Kind.FACTOR.group: {"energy": "acme_a:energy"}}
WRONG_RULE = """
from wrg_onnx.extend import Axes, Coupling, freeze_axes, op_rule

@op_rule("GridSample", domain="com.microsoft", since=1)
def couple(call):
    x = call.axes(0)
    ids = (None, x.ids[1]{order}, None, None)
    frozen = freeze_axes(x, [0, 2, 3], "samples")
    return Coupling((Axes(call.output_shapes[0], ids),), frozen=frozen)
"""
SAMPLED = """<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g
(float[1,3,8,8] x) => (float[1,2,4,4] y) {
    a = Conv(x, w)  s = com.microsoft.GridSample(a, g)  b = Relu(s)  y = Conv(b, v)
}"""
NET = """<ir_version: 8, opset_import: ["": 17]> g
(float[1,3,16,16] x) => (float[1,2,16,16] y) {
    c = Conv(x, w)  a = Relu(c)  y = Conv(a, v)
}"""
SHAPES = {"w": (8, 3, 1, 1), "v": (2, 8, 1, 1), "g": (1, 4, 4, 2)}


def write(path, body, names):
    model = onnx.parser.parse_model(body)
    rng = np.random.default_rng(0)
    for name in names:
        array = rng.uniform(-1, 1, SHAPES[name]).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, path)
    return path


def site_with(tmp_path, body=ENERGY, **changes):
    site = tmp_path / "site"
    install(site, "acme-a", "1.0", modules={"acme_a.py": FACTOR.format(body=body)}, points=POINTS)
    return environment_of(site, **changes)


def prune(tmp_path, environment, *options):
    return run_program(
        "prune", write(tmp_path / "m.onnx", NET, "wv"), "o.onnx", "--ratio", "0.5", "--criterion",
        "energy", "--samples", "4", "--no-evaluate", "--no-cache", *options,
        cwd=tmp_path, env=environment,
    )  # fmt: skip


def test_what_a_package_prints_as_it_is_imported_is_not_in_the_json(tmp_path):
    done = prune(tmp_path, site_with(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["criterion"] == "energy"
    assert done.stderr.splitlines()[0] == "imported"


def test_help_lists_what_is_installed_and_imports_nothing(tmp_path):
    environment = site_with(tmp_path, COLUMNS="80")
    done = run_program("prune", "--help", cwd=tmp_path, env=environment)
    assert "hrank, taylor, energy." in " ".join(done.stdout.split())
    assert "imported" not in done.stdout + done.stderr


def test_the_switch_has_the_command_line_know_nothing(tmp_path):
    done = prune(tmp_path, site_with(tmp_path, **{SWITCH: "none"}))
    assert done.returncode == 2
    assert "'energy' is not one of" in done.stderr
    assert "imported" not in done.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return 1 / 0",
            "fails on the maps of '.*', of shape .*: ZeroDivisionError: division by zero",
        ),
        ("return -abs(maps).mean(axis=(2, 3))", "gave -.* expected a number from 0 to"),
    ],
    ids=["raises", "negative"],
)
def test_a_factor_that_fails_is_one_line_and_exit_code_1(tmp_path, body, message):
    done = prune(tmp_path, site_with(tmp_path, body))
    imported, line = done.stderr.splitlines()
    assert (done.returncode, imported) == (1, "imported")
    assert re.fullmatch(f"Error: factor 'energy' (of 'acme-a' 1.0 )?{message}.*", line)
    assert not (tmp_path / "o.onnx").exists()


def test_each_of_two_processes_finds_the_package(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    environment = site_with(tmp_path)
    assert prune(tmp_path, environment).returncode == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    processes = start_two(
        "prune", "m.onnx", "two.onnx", "--ratio", 0.5, "--criterion", "energy", "--samples", 4,
        "--no-evaluate", "--no-cache",
    )  # fmt: skip
    for process in processes:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
    assert Path("two.onnx").read_bytes() == Path("o.onnx").read_bytes()
    assert os.environ["PYTHONPATH"].startswith(str(tmp_path))


@pytest.mark.parametrize(("order", "code"), [("", 0), ("[::-1]", 3)], ids=["right", "reversed"])
def test_the_proof_finds_a_rule_that_is_wrong(tmp_path, order, code):
    write(tmp_path / "m.onnx", SAMPLED, "wvg")
    points = {Kind.RULE.group: {"com.microsoft.GridSample": "acme_a:couple"}}
    install(
        tmp_path / "site", "acme-a", "1.0", modules={"acme_a.py": WRONG_RULE.format(order=order)},
        points=points,
    )  # fmt: skip
    done = run_program(
        "prune", "m.onnx", "o.onnx", "--ratio", "0.2", "--criterion", "l1",
        cwd=tmp_path, env=environment_of(tmp_path / "site"),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert (tmp_path / "o.onnx").exists() == (code == 0)
