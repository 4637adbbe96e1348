"""A formula that changes gets another version: numbers that were kept before it are then not read.

``tests/golden/factors.json`` holds, for each factor and layer, a few numbers that sum its values
up. They are compared with a tolerance, for machines differ in the last bits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from wrg_onnx.calibrate import CollectOptions, all_factors, collect, measure_weights
from wrg_onnx.channels import find_units
from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.factors import BATCH_SCALE, RANK, LayerValues
from wrg_onnx.graph import Provider, bind_sizes, infer_shapes, load

pytest.importorskip("torch")

TINY_UNET = Path(__file__).parents[2] / "models" / "tiny_unet.onnx"
RECORD = Path(__file__).parents[1] / "golden" / "factors.json"
SIDE, IMAGES, SEED = 160, 4, 20
TOLERANCE = 1e-2
"""Of a layer's largest number: on another machine some ranks are one off, 1/160 in one image."""

ANEW = "pytest --update-golden tests/calibrate/test_fingerprints.py"


def made_images():
    """Soft blobs and a disc, which is the mask.

    The maps of soft images have singular values on both sides of the threshold of a rank, so that
    the ranks tell where it lies.
    """
    rng = np.random.default_rng(SEED)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    samples = []
    for _ in range(IMAGES):
        image = np.zeros((3, SIDE, SIDE))
        for _ in range(8):
            row, column = rng.uniform(0, SIDE, 2)
            blob = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / rng.uniform(200, 3000))
            image += rng.uniform(-1, 1, (3, 1, 1)) * blob
        row, column = rng.uniform(20, SIDE - 20, 2)
        disc = (rows - row) ** 2 + (columns - column) ** 2 < rng.uniform(25, 225)
        image += 1.5 * disc
        samples.append(Sample("made", {"image": image[None].astype(np.float32)}, disc))
    readers = tuple(lambda sample=sample: sample for sample in samples)
    return DataSet(readers, "images", IMAGES, has_masks=True)


@pytest.fixture
def found(analysed):
    """Measure every factor: on the committed net, but for scales, which it has folded away."""
    graph = load(TINY_UNET)
    shapes = bind_sizes(graph.inputs, given={"image": (1, 3, SIDE, SIDE)})
    units = find_units(graph, infer_shapes(graph, shapes))
    wanted = frozenset(all_factors()) - {BATCH_SCALE}
    saliency = SaliencyMap(graph.outputs[0].name, axis=1, channels=1, is_logit=False)
    options = CollectOptions(wanted, provider=Provider.CPU)
    factors = collect(units, made_images(), options, saliency=saliency).statistics.factors
    scale = np.float32([0.5, -2, 0.01, 1])
    normalised = analysed(
        """(float[1,3,8,8] x) => (float[1,2,8,8] y) {
            c = Conv(x, w)  n = BatchNormalization(c, s, b, b, v)  y = Conv(n, u) }""",
        {
            "w": np.ones((4, 3, 1, 1), "f"), "u": np.ones((2, 4, 1, 1), "f"), "s": scale,
            "b": np.zeros(4, "f"), "v": np.ones(4, "f"),
        },
    )  # fmt: skip
    return {**factors, BATCH_SCALE: measure_weights(BATCH_SCALE, normalised)}


def summary(layers):
    """Return mean, least, quartiles and largest of each layer, to five digits."""
    return {
        layer.layer: [
            float(f"{number:.5g}")
            for number in (layer.values.mean(), *np.quantile(layer.values, [0, 0.25, 0.5, 0.75, 1]))
        ]
        for layer in layers
    }


def are_alike(one, other):
    if set(one) != set(other):
        return False
    return all(
        np.allclose(one[name], other[name], rtol=0, atol=TOLERANCE * max(other[name]))
        for name in other
    )


def objections(found, recorded):
    """Yield what is wrong with a record, and what to do."""
    for factor, layers in found.items():
        known = recorded["factors"].get(factor.name)
        if known is None:
            yield f"factor '{factor.name}' is not recorded: record it with `{ANEW}`"
        elif known["version"] != factor.version:
            yield (
                f"factor '{factor.name}' has version {factor.version}, and version "
                f"{known['version']} is recorded: record it anew with `{ANEW}`"
            )
        elif not are_alike(summary(layers), known["layers"]):
            yield unversioned(factor)
    for name in recorded["factors"].keys() - {factor.name for factor in found}:
        yield f"factor '{name}' is recorded and not there: record anew with `{ANEW}`"


def unversioned(factor):
    return (
        f"factor '{factor.name}' gives other numbers than version {factor.version} did: raise its "
        f"version where it is declared, so that kept numbers of the old formula are not read, "
        f"and record it anew with `{ANEW}`"
    )


def record_of(found):
    return {
        "model": hashlib.sha256(TINY_UNET.read_bytes()).hexdigest(),
        "factors": {
            factor.name: {"version": factor.version, "layers": summary(layers)}
            for factor, layers in sorted(found.items(), key=lambda item: item[0].name)
        },
    }


def updated(found, recorded):
    """Return the new record; entries that still hold stay, and an unversioned change is refused."""
    fresh = record_of(found)
    if recorded is None or recorded["model"] != fresh["model"]:
        return fresh
    for factor in found:
        known = recorded["factors"].get(factor.name)
        if known is not None and known["version"] == factor.version:
            assert are_alike(fresh["factors"][factor.name]["layers"], known["layers"]), unversioned(
                factor
            )
            fresh["factors"][factor.name] = known
    return fresh


def in_lines(record):
    """Write JSON with a line for each layer."""
    return (
        re.sub(r"\[[^\]]*\]", lambda m: " ".join(m[0].split()), json.dumps(record, indent=1)) + "\n"
    )


def test_a_formula_changes_only_with_its_version(found, request):
    recorded = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else None
    if request.config.getoption("--update-golden"):
        RECORD.write_text(in_lines(updated(found, recorded)), "utf-8")
        return
    assert recorded is not None, f"record the factors with `{ANEW}`"
    wrong = list(objections(found, recorded))
    assert not wrong, "\n".join(wrong)


# --- of the check itself --------------------------------------------------------------------------


def ranks(scale=1.0, version=RANK.version):
    values = scale * np.array([0.2, 0.5, 0.9])
    factor = dataclasses.replace(RANK, version=version)
    return {factor: [LayerValues("a", np.arange(3), values)]}


def test_a_change_in_the_last_bits_is_none():
    assert list(objections(ranks(1 + 1e-6), record_of(ranks()))) == []
    assert updated(ranks(1 + 1e-6), record_of(ranks())) == record_of(ranks())


def test_a_changed_formula_must_raise_its_version():
    (objection,) = objections(ranks(1.02), record_of(ranks()))
    assert "'rank' gives other numbers than version 1 did: raise its version" in objection
    assert "--update-golden" in objection
    with pytest.raises(AssertionError, match="raise its version"):
        updated(ranks(1.02), record_of(ranks()))


def test_a_raised_version_must_be_recorded():
    raised = ranks(1.02, version=2)
    (objection,) = objections(raised, record_of(ranks()))
    assert "version 1 is recorded: record it anew with `pytest --update-golden" in objection
    assert list(objections(raised, updated(raised, record_of(ranks())))) == []


def test_factors_that_come_and_go_must_be_recorded():
    (new,) = objections(ranks(), record_of({}))
    (gone,) = objections({}, record_of(ranks()))
    assert "not recorded" in new
    assert "not there" in gone


def test_another_model_is_recorded_as_it_is():
    other = {**record_of(ranks()), "model": "another"}
    assert updated(ranks(1.02), other) == record_of(ranks(1.02))
