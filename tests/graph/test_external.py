"""Weights in files beside the model."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from strategies import build, normal, run

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import load, stored_bytes, to_message
from wrg_onnx.graph.mapped import MappedFile

TEXT = "net (float[1,40] x) => (float[1,50] y) { h = MatMul(x, w)  y = Add(h, b) }"
WEIGHTS = {"w": normal(40, 50), "b": normal(50)}


@pytest.fixture
def path(tmp_path):
    onnx.save(
        build(TEXT, WEIGHTS), tmp_path / "m.onnx", save_as_external_data=True, location="m.data",
        size_threshold=0,
    )  # fmt: skip
    return tmp_path / "m.onnx"


def change(path, **entries):
    """Write other entries into the external data of the first weight; None takes one out."""
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.name == "w")
    table = {entry.key: entry.value for entry in tensor.external_data} | entries
    del tensor.external_data[:]
    for key, value in table.items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    path.write_bytes(model.SerializeToString())


def refusal(path):
    with pytest.raises(ModelError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"'{path}': ")
    assert "\n" not in text
    return text


def test_weights_are_read_from_their_file(path):
    graph = load(path)
    np.testing.assert_array_equal(graph.constants["w"], WEIGHTS["w"])
    assert stored_bytes(graph) == path.stat().st_size + 40 * 50 * 4 + 50 * 4
    x = {"x": normal(1, 40)}
    np.testing.assert_array_equal(run(to_message(graph), x)[0], run(onnx.load(path), x)[0])


@pytest.mark.parametrize(
    "location",
    ["", "..", "../m.data", "sub/../../m.data", "/etc/passwd", "C:\\secret", "\\\\host\\share",
     "..\\m.data", "link", "dangling", "circle", "sub", "pipe", "absent", "a" * 300, "a\0b",
     "\0weight 0", "*/_ORT_MEM_ADDR_/*", "near"],
)  # fmt: skip
def test_only_ordinary_files_of_the_models_folder_are_read(path, tmp_path, location):
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "near").hardlink_to(tmp_path / "m.data")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    change(path, location=location)
    assert "its external data cannot be read ('w': " in refusal(path)


@pytest.mark.parametrize("location", ["sub/m.data", "sub/../m.data", "./m.data", "near"])
def test_files_of_folders_below_and_links_among_them_are_read(path, tmp_path, location):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.data").write_bytes((tmp_path / "m.data").read_bytes())
    (tmp_path / "near").symlink_to("m.data")
    change(path, location=location)
    if ".." in location:
        assert "not a path inside the model's folder" in refusal(path)
    else:
        np.testing.assert_array_equal(load(path).constants["w"], WEIGHTS["w"])


@pytest.mark.parametrize(
    "entries",
    [{"length": 10**30}, {"offset": 10**6}, {"offset": -4}, {"length": -4}, {"offset": "many"},
     {"offset": 4, "length": 8400}, {"length": 7996}, {"length": 8004}],
)  # fmt: skip
def test_bytes_that_are_not_there_are_refused(path, entries):
    change(path, **entries)
    assert "'w'" in refusal(path)


def test_a_file_that_is_too_short_is_refused(path, tmp_path):
    os.truncate(tmp_path / "m.data", 100)
    assert "'m.data' has 100 bytes, and the tensor's are 8000 from 0 on" in refusal(path)


def test_without_offset_and_length_the_whole_file_is_meant(path, tmp_path):
    (tmp_path / "w.data").write_bytes(WEIGHTS["w"].tobytes())
    change(path, location="w.data", offset=None, length=None)
    np.testing.assert_array_equal(load(path).constants["w"], WEIGHTS["w"])


def test_tensors_that_overlap_have_their_own_bytes(path, tmp_path):
    size = (tmp_path / "m.data").stat().st_size
    change(path, offset=size - 8000)
    content = (tmp_path / "m.data").read_bytes()
    graph = load(path)
    assert graph.constants["w"].tobytes() == content[-8000:]
    np.testing.assert_array_equal(graph.constants["b"], WEIGHTS["b"])


@pytest.mark.parametrize("upper", [False, True])
def test_a_checksum_is_verified(path, tmp_path, upper):
    found = hashlib.sha1((tmp_path / "m.data").read_bytes(), usedforsecurity=False).hexdigest()
    change(path, checksum=found.upper() if upper else found)
    np.testing.assert_array_equal(load(path).constants["w"], WEIGHTS["w"])
    with (tmp_path / "m.data").open("r+b") as stream:
        stream.write(b"\1")
    assert "'m.data' is not the data file of this model: its SHA-1 is" in refusal(path)


def test_data_of_attributes_is_read_too(tmp_path):
    model = build("net (float[1,40] x) => (float[1,50] y) { y = MatMul(x, w) }")
    tensor = onnx.numpy_helper.from_array(WEIGHTS["w"])
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=tensor))
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data",
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    assert (tmp_path / "m.onnx").stat().st_size < 500
    np.testing.assert_array_equal(load(tmp_path / "m.onnx").constants["w"], WEIGHTS["w"])


def test_a_model_in_memory_has_no_data_outside(path):
    light = onnx.load(path, load_external_data=False)
    from wrg_onnx.graph import from_message

    with pytest.raises(ModelError, match=r"external data of '.' is not loaded: onnx\.load"):
        from_message(light)


def test_a_file_with_a_second_name_is_refused(path, tmp_path):
    (tmp_path / "near.data").hardlink_to(tmp_path / "m.data")
    assert "'m.data' is a hard link: the same file has 2 names" in refusal(path)
    (tmp_path / "near.data").unlink()
    np.testing.assert_array_equal(load(path).constants["w"], WEIGHTS["w"])


def test_an_address_in_memory_is_no_file_even_where_there_is_one(path, tmp_path):
    for location in ("*/_ORT_MEM_ADDR_/*", "__ORT_MEM_ADDR__", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"):
        (tmp_path / location).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / location).write_bytes((tmp_path / "m.data").read_bytes())
        change(path, location=location)
        assert "is an address in memory, and no file" in refusal(path)


@pytest.mark.parametrize("key", ["__class__", "__dict__", "raw_data", "Location", ""])
def test_keys_that_say_nothing_of_data_are_refused(path, key):
    change(path, **{key: "1"})
    assert f"'{key}' says nothing of data outside" in refusal(path)


def test_keys_that_other_programs_read_are_left_alone(path):
    change(path, prepacked_0="w|0|8", basepath="elsewhere")
    np.testing.assert_array_equal(load(path).constants["w"], WEIGHTS["w"])


def test_a_key_that_is_there_twice_is_refused(path):
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.name == "w")
    tensor.external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(model.SerializeToString())
    assert "its location is there twice" in refusal(path)


def test_a_path_that_became_a_link_while_it_was_opened_is_refused(path, tmp_path, monkeypatch):
    from wrg_onnx.graph import external

    (tmp_path.parent / "secret").write_bytes((tmp_path / "m.data").read_bytes())

    def opened(target):
        target.unlink()
        target.symlink_to(tmp_path.parent / "secret")
        return MappedFile(target)

    monkeypatch.setattr(external, "MappedFile", opened)
    assert "has changed while it was opened" in refusal(path)
