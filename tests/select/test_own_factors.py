"""Factors and criteria of one's own prune a model, by Python and by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from wrg_onnx.calibrate import map_factor, of_filters, weights_factor
from wrg_onnx.cli import main
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import register_criterion

pytestmark = pytest.mark.usefixtures("own_registry")

ROOT = Path(__file__).parents[2]
TINY_UNET = ROOT / "models" / "tiny_unet.onnx"
BODY = """<ir_version: 8, opset_import: ["": 17]> g
(float[batch,3,16,16] x) => (float[batch,2,16,16] y) {
    c = Conv(x, w, b)  a = Relu(c)  y = Conv(a, u)
}"""
# By the spread alone 0 and 1 would go, by the energy 2 and 3; by the product it is 4 and 5.
SPREAD = np.array([0.3, 0.3, 4, 4, 0.5, 0.5, 3, 3])
ENERGY = np.array([4, 4, 0.3, 0.3, 0.5, 0.5, 3, 3])


def spread(units):
    """A weights factor: the largest less the smallest weight of a filter."""
    return of_filters(units, lambda rows: np.asarray(np.ptp(rows, axis=1), np.float64))


def energy(maps):
    """A map factor: the mean square."""
    return np.square(maps, dtype=np.float64).mean(axis=(2, 3))


@pytest.fixture
def register():
    """Register both factors, and a criterion of each choice of them."""
    factors = {
        "spread": weights_factor("spread", spread, version=1),
        "energy": map_factor("energy", energy, version=1),
    }

    def of(*names):
        return register_criterion("-".join(names), [factors[name] for name in names])

    return of


@pytest.fixture
def model(tmp_path):
    """Filters of known spread, so small that each map has the energy of its bias."""
    built = onnx.parser.parse_model(BODY)
    weight = np.zeros((8, 3, 1, 1))
    weight[:, 0, 0, 0] = 1e-4 * SPREAD
    constants = {
        "w": weight, "b": np.sqrt(ENERGY),
        "u": np.random.default_rng(0).standard_normal((2, 8, 1, 1)),
    }  # fmt: skip
    for name, array in constants.items():
        built.graph.initializer.append(onnx.numpy_helper.from_array(array.astype("f"), name))
    path = tmp_path / "model.onnx"
    onnx.save(built, path)
    return path


def kept(path):
    (weight,) = [i for i in onnx.load(path).graph.initializer if i.name == "w"]
    return onnx.numpy_helper.to_array(weight)[:, 0, 0, 0] / 1e-4


@pytest.mark.parametrize(
    ("names", "gone"),
    [(("spread",), [0, 1]), (("energy",), [2, 3]), (("spread", "energy"), [4, 5])],
)
def test_a_criterion_of_own_factors_removes_what_they_say(register, model, names, gone):
    criterion, output = register(*names), model.with_name("pruned.onnx")
    config = PruneConfig(
        0.25, criterion=criterion, data=DataOptions(samples=2), recover=Recovery.NONE,
        evaluate=False,
    )  # fmt: skip
    report = prune(model, output, config).report
    assert (report.criterion, report.removed) == ("-".join(names), 2)
    assert report.images == (2 if "energy" in names else 0)
    np.testing.assert_allclose(kept(output), np.delete(SPREAD, gone), rtol=1e-6)


def test_the_command_line_takes_what_was_registered_before_it_runs(register, model):
    register("spread", "energy")
    output = model.with_name("pruned.onnx")
    done = CliRunner().invoke(
        main,
        ["prune", str(model), "-o", str(output), "--ratio", "0.25", "--criterion", "spread-energy",
         "--samples", "2", "--recover", "none", "--no-evaluate", "--json"],
    )  # fmt: skip
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout)["criterion"] == "spread-energy"
    np.testing.assert_allclose(kept(output), np.delete(SPREAD, [4, 5]), rtol=1e-6)
    assert "sel-repair,spread-energy,hrank," in "".join(
        CliRunner().invoke(main, ["prune", "--help"]).stdout.split()
    )


def test_what_was_not_registered_is_refused(model):
    done = CliRunner().invoke(
        main, ["prune", str(model), "--ratio", "0.2", "--criterion", "energy"]
    )
    assert done.exit_code == 2
    assert "'energy' is not one of 'sel', 'w'," in done.stderr


@pytest.mark.skipif(not TINY_UNET.exists(), reason="models/tiny_unet.onnx is not there")
def test_the_committed_model_is_pruned_by_own_factors_and_their_rows_are_not_kept(
    register, tmp_path
):
    criterion, output = register("spread", "energy"), tmp_path / "pruned.onnx"
    config = PruneConfig(
        0.5, criterion=criterion, data=DataOptions(samples=4), recover=Recovery.NONE,
        evaluate=False, cache=tmp_path / "cache",
    )  # fmt: skip
    report = prune(TINY_UNET, output, config).report
    assert abs(report.reached - 0.5) <= 0.005
    assert report.equivalence.error <= report.equivalence.tolerance
    assert report.images == 4
    assert not (tmp_path / "cache").exists()  # of no package, so that nothing tells of a change
    assert any("nothing tells when the factor 'energy' of the module" in n for n in report.notes)
