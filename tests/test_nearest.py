"""What a name that is none may be meant for."""

from __future__ import annotations

import time

import pytest

from wrg_onnx.nearest import did_you_mean, most_like


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("sell", ("sel", "w", "l1"), "sel"),
        ("MACS", ("params", "macs"), "macs"),
        ("nhwc", ("NCHW", "NHWC"), "NHWC"),
        ("conv1.wieght", ("conv1.weight", "conv2.weight"), "conv1.weight"),
    ],
)
def test_the_most_similar_name_is_asked_for(name, known, meant):
    assert did_you_mean(name, known) == f" (did you mean '{meant}'?)"


@pytest.mark.parametrize("name", ["", "zzz", "a name of other words"])
def test_nothing_is_asked_where_nothing_is_like_it(name):
    assert most_like(name, ("sel", "l1")) is None
    assert did_you_mean(name, ("sel", "l1")) == ""


def test_a_name_is_found_among_those_of_a_large_model_in_a_second():
    names = [f"model/block_{i}/layer_{j}/conv/weight" for i in range(200) for j in range(100)]
    start = time.perf_counter()
    assert most_like("model/block_7/layer_3/cnov/weight", names) == names[703]
    assert time.perf_counter() - start < 5
