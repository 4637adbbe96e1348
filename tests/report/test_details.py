"""Details stay small, whatever the model is, and can be read from JSON again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from strategies import analyse

from wrg_onnx.calibrate.rank.spectra import MapSpectrum
from wrg_onnx.channels import parameter_terms
from wrg_onnx.choices import Provider
from wrg_onnx.evaluate.image_values import ImageValues
from wrg_onnx.evaluate.metrics import SALIENCY_METRICS
from wrg_onnx.factors import GRADIENT, RANK, WEIGHT, LayerValues, Statistics
from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report import to_json
from wrg_onnx.report.details import (
    MOST_BYTES,
    MOST_EDGES,
    MOST_LAYERS,
    MOST_NODES,
    MOST_PLOTTED,
    MOST_SPECTRA,
    MOST_TIMED,
    Details,
    Example,
    Examples,
    Structure,
    WidthEdge,
)
from wrg_onnx.report.environment import LONGEST_WORD, MOST_WORDS, environment_of
from wrg_onnx.report.from_plain import from_plain
from wrg_onnx.report.layer_details import Choice, layer_details
from wrg_onnx.report.layer_times import small_times
from wrg_onnx.report.pictures import small_picture
from wrg_onnx.report.spectra import small_spectrum
from wrg_onnx.report.structure import structure_of
from wrg_onnx.select import Scores

LAYERS = MOST_LAYERS + 1
"""Of the model: its inputs are a width, too."""

HOSTILE = "\x1b[31m\u202e\U0001f600\"'<script>" * 200
"""Letters that take much room in JSON, 3,400 of them."""


@dataclass(frozen=True)
class Report:
    """As deep as details lie in a report."""

    details: Details


def deep_model(widths):
    """Make a chain of convolutions whose names are as long as they are hostile."""
    nodes, constants, tensor = [], [], "image"
    for number, (read, made) in enumerate(pairwise(widths)):
        weight = f"{number}{HOSTILE}{number}"
        constants.append(numpy_helper.from_array(np.ones((made, read, 1, 1), np.float32), weight))
        nodes.append(helper.make_node("Conv", [tensor, weight], [f"t{number}"], f"n{number}"))
        tensor = f"t{number}"
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 2, 2])
        for name, channels in (("image", widths[0]), (tensor, widths[-1]))
    ]
    graph = helper.make_graph(nodes, "deep", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture(scope="module")
def units():
    """The units of a model of 1,500 layers, narrow ones and some too wide to be listed."""
    rng = np.random.default_rng(0)
    widths = [3, *rng.integers(8, 40, LAYERS).tolist()]
    widths[100::100] = [520] * len(widths[100::100])
    return analyse(deep_model(widths)).units


@pytest.fixture(scope="module")
def largest(units):
    """Return details with as much in each part as there may be."""
    rng = np.random.default_rng(0)
    layers = [
        LayerValues(
            f"{g}", np.flatnonzero(units.group == g), 1e-9 * rng.random((units.group == g).sum())
        )
        for g in range(int(units.group.max()) + 1)
    ]
    alive = ~units.removable | (rng.random(units.count) < 0.5)
    choice = Choice(
        units, parameter_terms(units), alive, np.arange(units.count),
        Scores(1e-9 * rng.random(units.count), np.zeros(units.count, bool)),
        Statistics(dict.fromkeys((WEIGHT, RANK, GRADIENT), layers)),
    )  # fmt: skip
    rows, left = layer_details(choice)
    structure = structure_of(units, alive)
    edges = tuple(WidthEdge(n % MOST_NODES, MOST_NODES - 1, 100) for n in range(MOST_EDGES))
    spectrum = MapSpectrum(HOSTILE, np.sort(1e-3 * rng.random(224))[::-1], 16)
    colour, gray = (
        small_picture(rng.integers(0, 256, shape).astype(np.uint8))
        for shape in ((500, 500, 3), (500, 500))
    )
    example = Example(
        "median", HOSTILE[:20], -0.1234, *[0.1234] * 5, colour, gray, gray, gray, gray, 0.1234
    )
    row = LayerTime(HOSTILE, HOSTILE, 9, *[1.23456789] * 4, 123_456_789, 123_456_789, HOSTILE)
    times, timed_left = small_times(SideBySide((row,) * (MOST_TIMED + 1), 1.0, 2.0))
    environment = environment_of(Provider.CPU, 0, [HOSTILE] * (MOST_WORDS + 1), None)
    return Details(
        rows, environment, Structure(structure.nodes, edges, 5),
        tuple(small_spectrum(spectrum, layers[0], 2) for _ in range(MOST_SPECTRA)),
        Examples("max_f", 500, (example,) * 3), times, left, 7, timed_left,
        ImageValues("0" * 64, 500, {one.title: (0.1234,) * 500 for one in SALIENCY_METRICS}),
    )  # fmt: skip


def test_the_largest_details_of_a_model_of_1500_layers_are_small_enough(largest):
    found = largest
    assert len(found.layers) == MOST_LAYERS
    assert (found.layers_left, found.timed_left) == (LAYERS + 1 - MOST_LAYERS, 1)
    assert sum(row.scores is not None for row in found.layers) == MOST_PLOTTED
    assert any(row.w is not None and row.w.each for row in found.layers)
    assert any(row.g is not None and row.g.removed for row in found.layers)
    assert len(found.structure.nodes) == MOST_NODES
    assert sum(node.widths for node in found.structure.nodes) == LAYERS + 1
    assert max(map(len, found.environment.command)) <= LONGEST_WORD
    size = len(to_json(Report(found)))
    assert MOST_BYTES / 2 < size <= MOST_BYTES


def test_details_are_the_same_once_read_from_json(largest):
    assert from_plain(Details, json.loads(to_json(largest))) == largest


def test_small_parts_are_empty_or_none():
    found = Details((), environment_of(Provider.CPU, 0, ["call"], None))
    assert from_plain(Details, json.loads(to_json(found))) == found
    assert (found.spectra, found.examples, found.latency, found.structure) == ((), None, None, None)
