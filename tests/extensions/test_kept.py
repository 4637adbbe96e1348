"""What is kept of runs with code of others: by the version of its package, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

import wrg_onnx
from wrg_onnx.extend import map_factor
from wrg_onnx.extensions import Kind, load

TINY_UNET = Path(__file__).parents[2] / "models" / "tiny_unet.onnx"
FACTOR = """
import numpy as np
from wrg_onnx.extend import map_factor

@map_factor("energy", version=1)
def energy(maps):
    return np.square(maps, dtype=np.float64).mean(axis=(2, 3))
"""
RULE = """
from wrg_onnx.extend import Axes, Coupling, freeze_axes, op_rule

@op_rule("GridSample", domain="com.microsoft", since=1)
def couple(call):
    x = call.axes(0)
    frozen = freeze_axes(x, [0, 2, 3], "samples")
    return Coupling((Axes(call.output_shapes[0], (None, x.ids[1], None, None)),), frozen=frozen)
"""
BODY = """<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g
(float[1,3,16,16] x) => (float[1,2,4,4] y) {
    a = Conv(x, w)  s = com.microsoft.GridSample(a, g)  b = Relu(s)  y = Conv(b, v)
}"""
PLAIN = """<ir_version: 8, opset_import: ["": 17]> g
(float[1,3,16,16] x) => (float[1,2,16,16] y) { a = Conv(x, w)  b = Relu(a)  y = Conv(b, v) }"""
UNTOLD = "kept for other runs: nothing tells when "


@pytest.fixture
def again(bring, tmp_path, monkeypatch):
    """Install a package in the place of its earlier version, as a process that starts anew does."""
    import sys

    def install(code, points, version):
        shutil.rmtree(tmp_path / "site", ignore_errors=True)
        sys.modules.pop("acme_a", None)
        load._ALL_LOADED.clear()
        bring("acme_a", code, points, version=version)

    monkeypatch.chdir(tmp_path)
    return install


def kept():
    return sorted(path.name for path in Path("cache").glob("*")) if Path("cache").exists() else []


def prune(model, criterion, **options):
    return wrg_onnx.prune(
        model, ratio=0.3, criterion=criterion, samples=2, recover="none", evaluate=False,
        cache="cache", **options,
    ).report  # fmt: skip


def test_an_upgrade_of_its_package_measures_a_factor_anew(again, monkeypatch):
    points = {Kind.FACTOR.group: {"energy": "acme_a:energy"}}
    found = []
    for version in ("1.0", "1.1"):
        with monkeypatch.context() as one:
            from registries import own_copies

            own_copies(one)
            again(FACTOR, points, version)
            report = prune(TINY_UNET, "energy")
            assert not [note for note in report.notes if UNTOLD in note]
            found.append(kept())
            with monkeypatch.context() as inner:
                inner.setattr("wrg_onnx.calibrate.rank.maps.MapProbe.measure", refuse)
                assert prune(TINY_UNET, "energy").removed == report.removed
    assert [len(names) for names in found] == [1, 2]


def refuse(*_):
    raise AssertionError("measured again")


def test_what_a_factor_of_no_package_measures_is_not_kept_and_the_report_says_so(again):
    again("", {}, "1.0")
    map_factor("energy", version=1)(lambda maps: np.square(maps).mean(axis=(2, 3)))
    report = prune(TINY_UNET, "energy")
    assert kept() == []
    (note,) = (note for note in report.notes if UNTOLD in note)
    assert "the factor 'energy' of the module '" in note
    assert note.endswith("', which no installed package brings, changes")


@pytest.fixture
def write(tmp_path):
    """Write a model with some of the weights."""

    def build(body, names):
        model = onnx.parser.parse_model(body)
        rng = np.random.default_rng(0)
        shapes = {"w": (6, 3, 1, 1), "v": (2, 6, 1, 1), "g": (1, 4, 4, 2)}
        for name in names:
            array = rng.uniform(-1, 1, shapes[name]).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        path = tmp_path / "m.onnx"
        onnx.save(model, path)
        return path

    return build


@pytest.fixture
def sampled(write):
    return write(BODY, "wvg")


def test_an_upgrade_of_its_package_measures_layers_of_a_rule_anew(again, monkeypatch, sampled):
    points = {Kind.RULE.group: {"com.microsoft.GridSample": "acme_a:couple"}}
    found = []
    for version in ("1.0", "1.1"):
        with monkeypatch.context() as one:
            from registries import own_copies

            own_copies(one)
            again(RULE, points, version)
            assert prune(sampled, "repair").removed
            found.append(kept())
            with monkeypatch.context() as inner:
                inner.setattr("wrg_onnx.recover.kept_layers.measure_layers", refuse)
                assert prune(sampled, "repair").removed
    assert [len(names) for names in found] == [1, 2]


def test_layers_of_a_rule_of_no_package_are_not_kept_and_the_report_says_so(again, sampled):
    again("", {}, "1.0")
    exec(RULE, {"__name__": "a_script"})  # noqa: S102 - as a script registers one
    report = prune(sampled, "repair")
    assert report.removed
    assert kept() == []
    (note,) = (note for note in report.notes if UNTOLD in note)
    assert "when a rule of the module 'a_script', which no installed package brings" in note


def test_points_of_a_sweep_are_kept_by_the_version_of_the_criterions_package(
    again, monkeypatch, write
):
    plain = write(PLAIN, "wv")
    points = {Kind.FACTOR.group: {"energy": "acme_a:energy"}}
    options = {"ratios": [0.3], "criteria": "energy", "samples": 2, "recover": "none"}
    found = []
    for version in ("1.0", "1.1", ""):
        with monkeypatch.context() as one:
            from registries import own_copies

            own_copies(one)
            again(FACTOR, points if version else {}, version or "1.2")
            if not version:
                import acme_a  # noqa: F401 - registers, and no entry point says whose it is
            wrg_onnx.sweep(plain, cache="cache", **options)
            found.append(len([name for name in kept() if name.endswith(".point.json")]))
    assert found == [1, 2, 2]
