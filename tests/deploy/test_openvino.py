"""Pruned models in OpenVINO on the CPU: it computes what ONNX Runtime computes."""

from __future__ import annotations

import importlib.util

import numpy as np
import onnxruntime
import pytest
from deployed import made_image
from required import require

BOUNDS = {"float32": (1e-5, 1e-6), "float16": (1e-3, 1e-5), "int8": (0.2, 1e-4)}
"""The largest and the mean difference of a pixel, of a map in [0, 1]. OpenVINO adds up in another
order, and has steps of int8 elsewhere in the graph: a pixel on an edge moves by some of them."""

IMAGES = 4


@pytest.fixture(scope="module")
def core():
    there = importlib.util.find_spec("openvino") is not None
    require(there, "no OpenVINO here: pip install 'wrg-onnx[deploy-tests]'")
    import openvino

    return openvino.Core()


def maps(core, path, images):
    """Return what OpenVINO and ONNX Runtime make of images."""
    # It would otherwise compute in bfloat16 on a CPU that can.
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return (
        np.concatenate([compiled({name: image})[0] for image in images]),
        np.concatenate([session.run(None, {name: image})[0] for image in images]),
    )


@pytest.mark.parametrize("numbers", BOUNDS)
def test_openvino_computes_what_onnx_runtime_does(core, written, numbers):
    images = [made_image(160, seed) for seed in range(IMAGES)]
    found, expected = maps(core, written[numbers], images)
    assert all(one.max() > 0.9 for one in expected)  # there are objects to see
    largest, mean = BOUNDS[numbers]
    assert np.abs(found - expected).max() <= largest
    assert np.abs(found - expected).mean() <= mean


def test_inputs_and_outputs_have_the_names_and_types_of_the_original(core, written):
    kinds = [
        [(port.any_name, port.element_type.to_string())
         for port in (*model.inputs, *model.outputs)]
        for model in (core.read_model(path) for path in written.values())
    ]  # fmt: skip
    assert kinds[0] == kinds[1] == kinds[2] == [("image", "f32"), ("sigmoid", "f32")]
