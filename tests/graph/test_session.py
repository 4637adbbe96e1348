from __future__ import annotations

import builtins
import gc
import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from strategies import build, normal

from wrg_onnx.errors import DataError, MissingPackageError, ModelError, UsageError
from wrg_onnx.graph import (
    Derived,
    Edit,
    Provider,
    edited,
    from_bytes,
    load,
    open_session,
    resolve_provider,
)
from wrg_onnx.graph import session as sessions
from wrg_onnx.graph.load import from_proto

TEXT = "net (float[1,3,6,6] x) => (float[1,40,6,6] y) { h = Conv(x, w)  y = Relu(h) }"


@pytest.fixture
def graph():
    return from_proto(build(TEXT, {"w": normal(40, 3, 1, 1)}), name="m.onnx")


@pytest.mark.parametrize("exact", [True, False])
def test_intermediate_tensors_can_be_outputs(graph, exact):
    session = open_session(graph, outputs=["y", "h"], exact=exact)
    values = session.run({"x": normal(1, 3, 6, 6)})
    assert list(values) == ["y", "h"]
    np.testing.assert_array_equal(values["y"], np.maximum(values["h"], 0))


@pytest.mark.parametrize("exact", [True, False])
def test_large_weights_are_read_from_memory(exact):
    graph = from_proto(build("net (float[1,64] x) => (float[1,64] y) { y = MatMul(x, w) }",
                             {"w": normal(64, 64)}), name="m")  # fmt: skip
    x = normal(1, 64)
    found = open_session(graph, exact=exact).run({"x": x})["y"]
    np.testing.assert_allclose(found, x @ normal(64, 64), atol=1e-4)


def test_wanted_names_are_returned_alone(graph):
    session = open_session(graph, outputs=["y", "h"])
    assert list(session.run({"x": normal(1, 3, 6, 6)}, ["h"])) == ["h"]


@pytest.mark.parametrize("noise", ["RandomNormalLike(x)", "Bernoulli(x)", "Dropout(x, r, t)"])
def test_every_session_of_a_model_draws_the_same_random_numbers(noise):
    text = f"net (float[1,64] x) => (float[1,64] y) {{ y = {noise} }}"
    model = build(text, {"r": np.float32(0.5), "t": np.array(True)})
    graph = from_proto(model, name="m")
    x = np.full((1, 64), 0.5, np.float32)
    drawn = []
    for seed, exact in ((6, True), (7, False)):
        onnxruntime.set_seed(seed)  # each process starts from another one
        drawn.append(open_session(graph, exact=exact).run({"x": x})["y"])
    assert len(np.unique(drawn[0])) > 1
    np.testing.assert_array_equal(*drawn)


def test_missing_onnxruntime_names_the_install_line(graph, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"pip install 'wrg-onnx\[cpu\]'") as caught:
        open_session(graph)
    assert caught.value.package == "onnxruntime"
    assert caught.value.exit_code == 1


def test_refused_model_is_a_model_error(capfd):
    text = "net (float[1,3,6,6] x) => (float[a] y) { y = own.Mystery(x) }"
    graph = from_proto(build(text, domains=("own",)), name="m.onnx")
    with pytest.raises(
        ModelError, match=r"'m\.onnx': ONNX Runtime refuses it: .*Mystery"
    ) as caught:
        open_session(graph)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_wrong_feeds_are_a_data_error(graph, capfd):
    with pytest.raises(DataError, match=r"on the inputs x \[1, 4, 6, 6\]"):
        open_session(graph).run({"x": normal(1, 4, 6, 6)})
    assert capfd.readouterr() == ("", "")


def test_auto_provider_is_the_cpu_without_cuda(monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert resolve_provider(Provider.AUTO) is Provider.CPU
    with pytest.raises(UsageError, match="has no CUDA"):
        resolve_provider(Provider.CUDA)


def test_cuda_is_taken_where_it_starts(monkeypatch):
    import onnxruntime

    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(sessions, "_cuda_starts", lambda: True)
    assert resolve_provider(Provider.AUTO) is Provider.CUDA
    monkeypatch.setattr(sessions, "_cuda_starts", lambda: False)
    assert resolve_provider(Provider.AUTO) is Provider.CPU
    assert resolve_provider(Provider.CPU) is Provider.CPU
    with pytest.raises(UsageError, match="does not start"):
        resolve_provider(Provider.CUDA)


@pytest.fixture
def broken_cuda(monkeypatch):
    """An ONNX Runtime that has CUDA, of which no session comes into being."""
    create = onnxruntime.InferenceSession._create_inference_session

    def fail(self, providers, *rest):
        if "CUDAExecutionProvider" in str(providers):
            self._fallback_providers = ["CPUExecutionProvider"]
            raise RuntimeError("CUDA failure 35: the driver is\ntoo old")
        return create(self, providers, *rest)

    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    starts = sessions._cuda_starts
    starts.cache_clear()
    yield
    starts.cache_clear()


@pytest.mark.usefixtures("broken_cuda")
def test_cuda_that_raises_does_not_start(graph, capfd):
    assert resolve_provider(Provider.AUTO) is Provider.CPU
    with pytest.raises(UsageError, match="does not start"):
        open_session(graph, provider=Provider.CUDA)
    assert open_session(graph, provider=Provider.AUTO).engine.get_providers() == [
        "CPUExecutionProvider"
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("broken_cuda")
@pytest.mark.parametrize("provider", [Provider.AUTO, Provider.CUDA])
def test_a_model_that_cuda_refuses_is_not_computed_elsewhere(graph, monkeypatch, capfd, provider):
    monkeypatch.setattr(sessions, "_cuda_starts", lambda: True)
    with pytest.raises(ModelError, match=r"'m\.onnx': ONNX Runtime refuses it: CUDA failure 35"):
        open_session(graph, provider=provider)
    assert capfd.readouterr() == ("", "")


def test_scalars_and_transposed_arrays_are_lent_as_they_are():
    text = "net (float[2,3] x, int64 row) => (float[3] y) { y = Gather<axis=0>(x, row) }"
    opened = open_session(from_proto(build(text), name="m"))
    feeds = {"x": normal(3, 2).T, "row": np.array(1)}
    assert not feeds["x"].flags.c_contiguous
    lent = opened.lend(feeds, ["y"])["y"].numpy()
    np.testing.assert_array_equal(lent, opened.run(feeds)["y"], strict=True)
    np.testing.assert_array_equal(lent, feeds["x"][1], strict=True)


def test_outputs_are_lent_where_they_were_computed(graph):
    feeds = {"x": normal(1, 3, 6, 6)}
    opened = open_session(graph)
    expected = opened.run(feeds)
    lent = opened.lend(feeds, list(expected))
    for name, array in expected.items():
        assert lent[name].device_name() == "cpu"
        np.testing.assert_array_equal(lent[name].numpy(), array)
    with pytest.raises(DataError, match=r"on the inputs x \[1, 4, 6, 6\]"):
        opened.lend({"x": normal(1, 4, 6, 6)}, list(expected))


@pytest.mark.parametrize("tf32", [True, False])
def test_cuda_rounds_operands_only_where_it_may(monkeypatch, tf32):
    monkeypatch.setattr(sessions, "resolve_provider", lambda _: Provider.CUDA)
    first, second = sessions._providers(Provider.AUTO, tf32=tf32)
    assert first == ("CUDAExecutionProvider", {"use_tf32": "1" if tf32 else "0"})
    assert second == "CPUExecutionProvider"


def large_net(path):
    """A net whose one large weight is read as it is: a Gather packs nothing."""
    text = "net (int64[3] i) => (float[3,700] y) { y = Gather(table, i) }"
    onnx.save(build(text, {"table": normal(2000, 700)}), path)
    return load(path)


@pytest.mark.parametrize("source", ["file", "moved file", "bytes", "derived"])
@pytest.mark.parametrize("exact", [False, True])
def test_weights_live_as_long_as_their_session(tmp_path, source, exact):
    graph = large_net(tmp_path / "m.onnx")
    table = normal(2000, 700)
    if source == "moved file":
        (tmp_path / "m.onnx").rename(tmp_path / "n.onnx")
        (tmp_path / "m.onnx").write_bytes(b"another")
    elif source == "bytes":
        graph = from_bytes((tmp_path / "m.onnx").read_bytes())
    elif source != "file":
        made = Derived((2000, 700), np.dtype(np.float32), lambda: table * 2)
        graph = edited(graph, Edit(constants={"table": made}))
    session = open_session(graph, exact=exact)
    del graph
    gc.collect()
    others = [np.full((2000, 700), np.nan, np.float32) for _ in range(20)]  # where it may have been
    found = session.run({"i": np.array([0, 999, 1999])})["y"]
    factor = 2 if source == "derived" else 1
    np.testing.assert_array_equal(found, factor * table[[0, 999, 1999]])
    assert len(others) == 20


def test_a_path_that_is_no_text_is_read_by_us(tmp_path):
    path = tmp_path / os.fsdecode(b"m\xff.onnx")
    graph = large_net(path)
    found = open_session(graph).run({"i": np.array([0, 1, 2])})["y"]
    np.testing.assert_array_equal(found, normal(2000, 700)[:3])


def test_nodes_that_nobody_reads_run_where_the_file_has_them(tmp_path):
    text = """net (float[1,8] x) => (float[1,8] y) {
        a = Neg(x)  p = Abs(a)  b = Exp(a)  q = Sin(b)  y = Neg(b) }"""
    model = build(text, {})
    for name in ("p", "q"):
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = sessions.start_session(
        model, {}, ("y", "p", "q"), "m", exact=True, profile=tmp_path / "profile"
    )
    session.run({"x": normal(1, 8)})
    events = json.loads(Path(session.engine.end_profiling()).read_text(encoding="utf-8"))
    ran = [e["args"]["op_name"] for e in events if e["name"].endswith("_kernel_time")]
    # Last of all, they would have all kept that they read.
    assert ran == ["Neg", "Abs", "Exp", "Sin", "Neg"]
