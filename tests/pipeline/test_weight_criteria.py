"""Criteria that look at weights alone, from file to file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from wrg_onnx.errors import StatisticsError
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion

BODY = """<ir_version: 8, opset_import: ["": 17]> g
(float[batch,3,16,16] x) => (float[batch,2,16,16] y) {
    c = Conv<pads=[1,1,1,1]>(x, w)  n = BatchNormalization(c, s, b, m, v)  a = Relu(n)
    y = Conv(a, u)
}"""
SCALE = np.float32([0.9, -0.01, 1.2, 0.7, -1.5, 0.02, 1.1, -0.8])


def saved(path, weight):
    """Write a layer of 8 filters, its normalisation, and a layer behind it."""
    model = onnx.parser.parse_model(BODY)
    constants = {
        "w": weight, "s": SCALE, "b": np.zeros(8), "m": np.zeros(8), "v": np.ones(8),
        "u": np.random.default_rng(1).standard_normal((2, 8, 1, 1)),
    }  # fmt: skip
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array.astype("f"), name))
    onnx.save(model, path)
    return path


def kept(path, name):
    (found,) = [i for i in onnx.load(path).graph.initializer if i.name == name]
    return onnx.numpy_helper.to_array(found)


def test_small_scales_of_batch_normalisation_go(tmp_path):
    weight = np.random.default_rng(0).standard_normal((8, 3, 3, 3))
    path, output = saved(tmp_path / "m.onnx", weight), tmp_path / "pruned.onnx"
    report = prune(path, output, PruneConfig(0.25, criterion=Criterion.BN)).report
    assert (report.criterion, report.calibration, report.removed) == ("bn", "weights alone", 2)
    np.testing.assert_array_equal(kept(output, "s"), SCALE[np.abs(SCALE) > 0.1])
    assert not any("could not be measured" in note for note in report.notes)


def test_w_holds_the_scales_that_a_folded_file_has_in_its_filters_and_l2_does_not(tmp_path):
    weight = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype("f")
    weight[[3, 6]] /= 4  # the smallest, but for the scales
    path, output = saved(tmp_path / "m.onnx", weight), tmp_path / "pruned.onnx"
    stay = {}
    for criterion in (Criterion.W, Criterion.L2):
        prune(path, output, PruneConfig(0.25, criterion=criterion), force=True)
        stay[criterion] = kept(output, "s")
    np.testing.assert_array_equal(stay[Criterion.W], np.delete(SCALE, [1, 5]))
    np.testing.assert_array_equal(stay[Criterion.L2], np.delete(SCALE, [3, 6]))
    # The same net with the scales in its filters.
    model = onnx.load(path)
    folded = onnx.numpy_helper.from_array(
        weight * (SCALE / np.sqrt(np.float32(1 + 1e-5)))[:, None, None, None], "w"
    )
    for tensor in model.graph.initializer:
        if tensor.name == "w":
            tensor.CopyFrom(folded)
    model.graph.node[1].CopyFrom(onnx.helper.make_node("Identity", ["c"], ["n"]))
    onnx.save(model, tmp_path / "folded.onnx")
    prune(tmp_path / "folded.onnx", output, PruneConfig(0.25, criterion=Criterion.W), force=True)
    np.testing.assert_array_equal(
        kept(output, "w"), np.delete(onnx.numpy_helper.to_array(folded), [1, 5], axis=0)
    )


def test_filters_in_the_midst_of_the_others_go(tmp_path):
    # Six filters on three axes, and two near their middle, which have the larger numbers.
    weight = np.zeros((8, 3, 3, 3))
    weight[:, :, 0, 0] = [[3, 0, 0], [-3, 0, 0], [0, 3, 0], [0, -3, 0], [0, 0, 3], [0, 0, -3],
                          [0.1, 0, 0], [0, 0.1, 0]]  # fmt: skip
    weight[:, :, 2, 2] = 50
    path, output = saved(tmp_path / "m.onnx", weight), tmp_path / "pruned.onnx"
    report = prune(path, output, PruneConfig(0.25, criterion=Criterion.FPGM)).report
    assert (report.criterion, report.calibration, report.removed) == ("fpgm", "weights alone", 2)
    np.testing.assert_array_equal(kept(output, "w"), weight[:6])


def test_fpgm_prunes_the_committed_model(tiny_unet, tmp_path):
    report = prune(
        tiny_unet, tmp_path / "p.onnx", PruneConfig(0.5, criterion=Criterion.FPGM)
    ).report
    assert abs(report.reached - 0.5) <= 0.005
    assert report.equivalence.error <= report.equivalence.tolerance
    assert not any("could not be measured" in note for note in report.notes)


def test_where_normalisations_are_folded_bn_is_refused_with_the_next_step(tiny_unet, tmp_path):
    output = tmp_path / "p.onnx"
    with pytest.raises(StatisticsError, match=r"no BatchNormalization .*--criterion l1"):
        prune(tiny_unet, output, PruneConfig(0.5, criterion=Criterion.BN))
    assert not output.exists()
