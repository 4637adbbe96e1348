"""Models timed side by side."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from wrg_onnx.errors import DataError, ModelError, UsageError
from wrg_onnx.latency import Timing
from wrg_onnx.latency.fresh import check_threads
from wrg_onnx.pipeline.bench import bench
from wrg_onnx.pipeline.config import BenchConfig, DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.report import to_json, to_text
from wrg_onnx.select import Criterion

SHORT = BenchConfig(provider="cpu", threads=1, timing=Timing(warmup=0, rounds=2))

BODY = """<ir_version: 8, opset_import: ["": 17]> g
(float[BATCH,16,8,8] image) => (float[BATCH,8,8,8] y) {
    c = Conv<pads=[1,1,1,1]>(image, w)  a = Relu(c)  y = Conv(a, v)
}"""


@pytest.fixture
def make(tmp_path):
    """Return what writes a small net whose batch is open or fixed."""

    def write(name, batch="n", body=BODY):
        model = onnx.parser.parse_model(body.replace("BATCH", str(batch)))
        draws = np.random.default_rng(0)
        for weight, shape in (("w", (24, 16, 3, 3)), ("v", (8, 24, 1, 1))):
            array = draws.standard_normal(shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, weight))
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return write


def test_bench_times_every_file_on_the_same_input(tiny_unet, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(tiny_unet.read_bytes())
    (report,) = bench([tiny_unet, copy], DataOptions(), SHORT).report.providers
    assert list(report.latency) == [str(tiny_unet), str(copy)]
    assert all(latency.runs == 2 for latency in report.latency.values())
    assert report.input_shapes == {"image": (1, 3, 160, 160)}


def test_bench_refuses_a_file_named_twice_and_other_inputs(tiny_unet, tmp_path):
    with pytest.raises(UsageError, match="twice"):
        bench([tiny_unet, tiny_unet], DataOptions())

    other = tmp_path / "other.onnx"
    model = onnx.load(tiny_unet)
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "picture"
    onnx.save(model, other)
    with pytest.raises(UsageError, match="only models with the same inputs"):
        bench([tiny_unet, other], DataOptions())


def test_a_report_says_how_it_was_measured(make):
    path = make("m.onnx")
    (report,) = bench([path], DataOptions(), SHORT).report.providers
    name = str(path)
    assert (report.provider, report.batch, report.threads, report.processes) == ("cpu", 1, 1, 2)
    assert report.runtime == onnxruntime.__version__
    assert report.throughput[name] == pytest.approx(1e3 / report.latency[name].median_ms)
    assert len(report.processes_ms[name]) == 2
    assert report.peak_bytes[name] is None or report.peak_bytes[name] >= 0
    assert (report.speedup, report.profile, report.notes) == ({}, {}, ())


def test_a_single_model_has_no_comparison(make):
    text = to_text(bench([make("m.onnx")], DataOptions(), SHORT).report)
    assert "as fast as" not in text
    assert "samples/s" in text


def test_others_are_held_against_the_first(make):
    first, second, third = (make(f"{letter}.onnx") for letter in "abc")
    (report,) = bench([first, second, third], DataOptions(), SHORT).report.providers
    assert list(report.speedup) == [str(second), str(third)]
    for name, ratio in report.speedup.items():
        expected = report.latency[str(first)].median_ms / report.latency[name].median_ms
        assert ratio.value == expected
        assert ratio.low <= ratio.value <= ratio.high


def test_each_batch_is_measured_where_it_is_open(make):
    config = replace(SHORT, batches=(1, 8))
    reports = bench([make("m.onnx")], DataOptions(), config).report.providers
    assert [report.batch for report in reports] == [1, 8]
    assert [report.input_shapes["image"] for report in reports] == [(1, 16, 8, 8), (8, 16, 8, 8)]
    for report in reports:
        ((name, latency),) = report.latency.items()
        assert report.throughput[name] == pytest.approx(1e3 * report.batch / latency.median_ms)
        assert report.notes == ()


def test_a_fixed_batch_is_measured_as_it_is_and_said_so(make):
    config = replace(SHORT, batches=(1, 8))
    (report,) = bench([make("m.onnx", batch=2)], DataOptions(), config).report.providers
    assert (report.batch, report.input_shapes["image"]) == (2, (2, 16, 8, 8))
    (note,) = report.notes
    assert note == (
        "the batch of the inputs is fixed at 2, so that --batch 1 and 8 was not measured"
    )


def test_a_batch_that_the_model_does_not_run_at_is_a_data_error(make):
    body = BODY.replace("y = Conv(a, v)", "b = Conv(a, v)  y = Reshape(b, s)")
    path = make("m.onnx", body=body.replace("float[BATCH,8,8,8] y", "float[m,8,8,8] y"))
    model = onnx.load(path)
    sizes = np.array([1, 8, 8, 8])
    model.graph.initializer.append(onnx.numpy_helper.from_array(sizes, "s"))
    onnx.save(model, path)
    with pytest.raises(
        DataError, match=r"m.onnx': ONNX Runtime fails on the inputs image \[8, 16, 8, 8\]: "
    ):
        bench([path], DataOptions(), replace(SHORT, batches=(8,)))


def test_a_profile_tells_each_layer_beside_the_pruned_one(make):
    path = make("m.onnx")
    pruned = path.with_name("pruned.onnx")
    prune(path, pruned, PruneConfig(0.5, criterion=Criterion.L1, evaluate=False))
    config = replace(SHORT, profile=True)
    (report,) = bench([path, pruned], DataOptions(), config).report.providers
    found = report.profile[str(pruned)]
    layers = {layer.name: layer for layer in found.layers if layer.op == "Conv"}
    first = next(iter(layers.values()))
    assert first.macs_before == 24 * 16 * 9 * 64
    assert 0 < first.macs_after < first.macs_before
    assert first.before_ms > 0
    assert first.after_ms > 0
    assert found.before_ms > 0
    plain = json.loads(to_json(bench([path], DataOptions(), config).report))
    (alone,) = plain["providers"][0]["profile"].values()
    assert {layer["after_ms"] for layer in alone["layers"]} == {None}


def test_a_profile_is_of_the_cpu(make, monkeypatch):
    names = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    config = replace(SHORT, provider="openvino", profile=True)
    with pytest.raises(UsageError, match="profile is for provider cpu"):
        bench([make("m.onnx")], DataOptions(), config)


def test_a_provider_that_is_not_there_is_a_usage_error(make):
    with pytest.raises(UsageError, match=r"provider abacus: .* does not have it, but "):
        bench([make("m.onnx")], DataOptions(), replace(SHORT, provider="abacus"))


def test_models_in_memory_are_handed_over(make):
    path = make("m.onnx")
    sources = [path, path.read_bytes(), onnx.load(path)]
    (report,) = bench(sources, DataOptions(), SHORT).report.providers
    assert len(report.latency) == 3


def test_weights_beside_a_file_are_read_there(make, tmp_path):
    whole = onnx.load(make("m.onnx"))
    path = tmp_path / "beside" / "m.onnx"
    path.parent.mkdir()
    onnx.save(whole, path, save_as_external_data=True, location="w.bin", size_threshold=64)
    (report,) = bench([path], DataOptions(), SHORT).report.providers
    assert report.latency[str(path)].runs == 2


def test_nothing_is_left_in_the_folder_for_temporary_files(make, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    source = make("m.onnx").read_bytes()
    bench([source], DataOptions(), replace(SHORT, profile=True))
    assert list(folder.iterdir()) == []


def test_a_model_that_onnx_runtime_refuses_is_named(make):
    path = make("m.onnx", body=BODY.replace("Relu(c)", "Relu<surprise = 1>(c)"))
    with pytest.raises(ModelError, match=r"m.onnx': ONNX Runtime refuses it: .*surprise"):
        bench([path], DataOptions(), SHORT)


@pytest.mark.parametrize("threads", [0, 10_000])
def test_threads_that_cannot_run_are_a_usage_error(make, threads):
    with pytest.raises(UsageError, match=f"threads must be in 1 to .* got {threads}"):
        bench([make("m.onnx")], DataOptions(), replace(SHORT, threads=threads))


def test_without_a_number_of_threads_each_core_has_one(make):
    (report,) = bench(
        [make("m.onnx")], DataOptions(), replace(SHORT, threads=None)
    ).report.providers
    assert report.threads == check_threads(None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"processes": 0}, "processes must be at least 1, got 0"),
        ({"batches": (1, 0)}, "batch must be at least 1, got 0"),
        ({"batches": ()}, "batch must name at least one"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_options_out_of_their_range_are_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        BenchConfig(**wrong)
