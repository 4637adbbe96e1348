"""Providers by name."""

from __future__ import annotations

import pytest

from wrg_onnx.choices import Provider
from wrg_onnx.errors import UsageError
from wrg_onnx.latency.fresh import Place, find_places, places

OPENVINO = Place("openvino", "OpenVINOExecutionProvider")
CPU = Place("cpu", "CPUExecutionProvider")


@pytest.fixture
def there(monkeypatch):
    names = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(places, "_available", lambda: names)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    "name", ["openvino", "OpenVINO", "OpenVINOExecutionProvider", "openvinoexecutionprovider"]
)
def test_a_provider_is_known_by_its_name_with_and_without_its_suffix(name):
    assert find_places(name) == (OPENVINO,)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("cuda", r"; pip install 'wrg-onnx\[gpu\]' .* brings it"),
        ("dml", "; pip install onnxruntime-directml"),
        ("CoreMLExecutionProvider", r"; pip install 'wrg-onnx\[cpu\]' on macOS brings it"),
        ("abacus", "$"),
        ("", "$"),
    ],
)
def test_one_that_is_absent_is_named_with_those_that_are_there_and_what_brings_it(name, way):
    words = f"^provider {name}: .* does not have it, but openvino, cpu{way}"
    with pytest.raises(UsageError, match=words):
        find_places(name)


def test_openvino_is_brought_by_an_extra(monkeypatch):
    monkeypatch.setattr(places, "_available", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match=r"'wrg-onnx\[openvino\]'"):
        find_places("openvino")


def test_auto_is_the_cpu_and_cuda_where_it_is_there(monkeypatch):
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(places, "_available", lambda: names)
    for found, expected in (
        ((Provider.CPU,), ["cpu"]),
        ((Provider.CPU, Provider.CUDA), ["cpu", "cuda"]),
    ):
        monkeypatch.setattr(places, "available_providers", lambda _, found=found: found)
        assert [place.name for place in find_places("auto")] == expected


def test_a_provider_with_threads_of_its_own_is_told_how_many():
    assert OPENVINO.options(3) == {"num_of_threads": "3"}
    assert CPU.options(3) == {}
