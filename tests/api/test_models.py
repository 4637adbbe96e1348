"""Models go in as paths or messages, and come out as messages or files."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import wrg_onnx
from wrg_onnx.cli import main

L1 = {"ratio": 0.5, "criterion": "l1"}


def test_a_path_as_text_and_a_message_give_the_same_model(tiny_unet, message):
    before = message.SerializeToString()
    of_path, of_message = (wrg_onnx.prune(model, **L1) for model in (str(tiny_unet), message))
    assert of_path.model == of_message.model
    assert message.SerializeToString() == before
    assert (of_path.report.model, of_message.report.model) == (str(tiny_unet), message.graph.name)
    assert of_path.report.before.parameters == of_message.report.before.parameters


def test_without_an_output_nothing_is_written_and_the_result_holds_the_model(
    tiny_unet, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = wrg_onnx.prune(tiny_unet, **L1)
    assert list(tmp_path.iterdir()) == []
    assert result.report.output is None
    onnx.checker.check_model(result.model, full_check=True)


def test_an_output_is_the_file_of_the_command_and_the_model_of_the_result(tiny_unet, tmp_path):
    output = tmp_path / "sub" / "pruned.onnx"
    result = wrg_onnx.prune(tiny_unet, output, **L1)
    assert onnx.load(output) == result.model
    assert result.report.after.file_bytes == output.stat().st_size
    typed = ["prune", tiny_unet, tmp_path / "command.onnx", "--ratio", 0.5, "--criterion", "l1"]
    assert CliRunner().invoke(main, [*map(str, typed)]).exit_code == 0
    assert (tmp_path / "command.onnx").read_bytes() == output.read_bytes()


def test_saving_writes_what_an_output_would_hold(tiny_unet, tmp_path):
    result = wrg_onnx.prune(tiny_unet, tmp_path / "a.onnx", **L1)
    size = result.save(tmp_path / "b.onnx")
    assert size == (tmp_path / "b.onnx").stat().st_size
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    with pytest.raises(wrg_onnx.OutputError, match="exists"):
        result.save(str(tmp_path / "b.onnx"))
    result.save(str(tmp_path / "b.onnx"), force=True)
    with pytest.raises(wrg_onnx.UsageError, match=r"must end in \.onnx"):
        result.save(tmp_path / "b.bin")


def test_each_access_to_the_model_makes_one_of_its_own(tiny_unet):
    result = wrg_onnx.prune(tiny_unet, **L1)
    result.model.graph.ClearField("node")
    assert result.model.graph.node


def test_the_dict_is_what_the_command_prints(tiny_unet):
    found = wrg_onnx.inspect(tiny_unet, keep=["bottom*"])
    done = CliRunner().invoke(main, ["inspect", str(tiny_unet), "--keep", "bottom*", "--json"])
    assert found.to_dict() == json.loads(done.stdout)


def test_printing_shows_what_the_command_prints(tiny_unet, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = wrg_onnx.inspect(tiny_unet)
    assert str(result) + "\n" == CliRunner().invoke(main, ["inspect", str(tiny_unet)]).stdout
    assert repr(result) == "<Result with a InspectReport>"


def test_external_data_that_is_not_loaded_is_named(message, tmp_path):
    path = tmp_path / "outside.onnx"
    onnx.save(message, path, save_as_external_data=True, location="outside.data", size_threshold=64)
    light = onnx.load(path, load_external_data=False)
    for call in (wrg_onnx.inspect, wrg_onnx.bench):
        with pytest.raises(wrg_onnx.ModelError, match=r"external data of '.*' is not loaded"):
            call(light)
    whole = onnx.load(path)
    assert wrg_onnx.inspect(path).report.groups == wrg_onnx.inspect(whole).report.groups


@pytest.mark.parametrize("model", [onnx.ModelProto(), onnx.ModelProto(ir_version=8)])
def test_a_message_without_a_graph_is_no_model(model):
    with pytest.raises(wrg_onnx.ModelError, match="not an ONNX model"):
        wrg_onnx.inspect(model)


def test_the_size_of_a_message_is_that_of_its_file(message, tmp_path):
    found = wrg_onnx.inspect(message).report.cost.file_bytes
    result = wrg_onnx.prune(message, tmp_path / "same.onnx", ratio=0.0, criterion="l1")
    note = sum(entry.ByteSize() for entry in result.model.metadata_props)
    assert abs(found - (tmp_path / "same.onnx").stat().st_size) <= note + 16


@pytest.mark.usefixtures("few_samples")
def test_a_pruned_message_is_held_against_its_original(message):
    pruned = wrg_onnx.prune(message, **L1).model
    report = wrg_onnx.validate(message, pruned, samples=2).report
    assert report.problems == ()
    assert report.accuracy.agreement[0].relative_error > 0
    del pruned.graph.node[0]
    with pytest.raises(wrg_onnx.ModelError):
        wrg_onnx.validate(message, pruned)


def test_what_the_checker_refuses_of_a_message_is_a_problem(message):
    broken = onnx.ModelProto()
    broken.CopyFrom(message)
    shape = broken.graph.value_info.add(name=broken.graph.node[0].output[0])
    shape.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    shape.type.tensor_type.shape.dim.add(dim_value=7)
    (problem,) = wrg_onnx.validate(message, broken).report.problems
    assert "the ONNX checker refuses it" in problem


def test_messages_of_one_name_are_timed_side_by_side(message):
    smaller = wrg_onnx.prune(message, **L1).model
    result = wrg_onnx.bench(message, smaller, rounds=1, warmup=0, provider="cpu")
    name = message.graph.name
    assert list(result.report.providers[0].latency) == [name, f"{name} (2)"]


@pytest.mark.usefixtures("few_samples")
def test_a_message_is_fine_tuned_by_another(message, tmp_path):
    pytest.importorskip("torch")
    pruned = wrg_onnx.prune(message, ratio=0.3, criterion="l1").model
    before = pruned.SerializeToString()
    result = wrg_onnx.finetune(pruned, teacher=message, samples=8, epochs=1, device="cpu")
    assert pruned.SerializeToString() == before
    assert (result.report.output, result.report.teacher) == (None, message.graph.name)
    assert result.report.training == 7
    assert str(result).startswith(f"{message.graph.name} -> (nothing written)")
    path = tmp_path / "tuned.onnx"
    wrg_onnx.finetune(
        pruned, path, teacher=message, samples=8, epochs=1, evaluate=False, device="cpu"
    )
    assert onnx.load(path) == result.model


def test_a_torch_module_is_exported_into_memory_or_a_file(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    net = torch.nn.Conv2d(3, 4, 3)
    result = wrg_onnx.export(net, input=(1, 3, 8, 8), exporter="torchscript")
    assert list(tmp_path.iterdir()) == []
    assert (result.report.factory, result.report.output) == ("Conv2d", None)
    assert str(result).startswith("Conv2d -> (nothing written): 112 parameters")
    held = {t.name: onnx.numpy_helper.to_array(t) for t in result.model.graph.initializer}
    np.testing.assert_array_equal(held["weight"], net.weight.detach().numpy())
    kept = wrg_onnx.export(net, "net.onnx", input=[(1, 3, 8, 8)], exporter="torchscript")
    assert kept.report.output == "net.onnx"
    assert kept.model == result.model
    with pytest.raises(wrg_onnx.UsageError, match=r"takes 'module:function' or a torch\.nn\.Mod"):
        wrg_onnx.export(len, input=(1, 3))
    with pytest.raises(wrg_onnx.UsageError, match="weights are for a factory"):
        wrg_onnx.export(net, input=(1, 3, 8, 8), weights="w.pt")


def test_data_are_made_and_filtered(tmp_path):
    made = wrg_onnx.tsod_make(tmp_path / "made", count=2, size=32, background="sky")
    assert [count.background for count in made.report.counts] == ["sky", "all"]
    kept = wrg_onnx.tsod_filter(str(tmp_path / "made"), max_area=0.5)
    assert kept.report.output == str(tmp_path / "made-tiny")
    assert "2 images to look at" in str(kept)


def test_progress_is_told(tiny_unet):
    told = []
    wrg_onnx.prune(tiny_unet, **L1, progress=lambda *stage: told.append(stage))
    assert told[0] == ("analyse", 0, 0)
    assert [stage for stage, _, _ in told][-2:] == ["validate", "report"]
