"""What a model was fed and gave, as Polygraphy reads it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from strategies import SALIENCY_NET, SALIENCY_WEIGHTS, build, normal

from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.errors import DataError, OutputError, UsageError
from wrg_onnx.evaluate import polygraphy
from wrg_onnx.evaluate.polygraphy import check_export, export, outputs_path
from wrg_onnx.graph import open_session
from wrg_onnx.graph.load import from_proto

NET = from_proto(build(SALIENCY_NET, SALIENCY_WEIGHTS), name="net")


def data_of(feeds):
    samples = [Sample(f"{number}", one, None) for number, one in enumerate(feeds)]
    readers = tuple((lambda sample=sample: sample) for sample in samples)
    return DataSet(readers, "arrays", len(samples), has_masks=False)


def images(count):
    return data_of([{"x": normal(1, 3, 32, 32, seed=number)} for number in range(count)])


def decoded(record):
    """Read a record as Polygraphy does: what is marked as an array becomes one."""
    if record.get("polygraphy_class") != "ndarray":
        return record
    return np.load(io.BytesIO(base64.b64decode(record["array"])), allow_pickle=False)


def read(path):
    return json.loads(path.read_text(encoding="ascii"), object_hook=decoded)


def test_inputs_and_outputs_are_those_of_the_session(tmp_path):
    session, data = open_session(NET), images(3)
    done = export(session, data, tmp_path / "x.json", force=False)
    assert (done.samples, done.judged, done.left_out) == (3, 3, ())
    fed, given = read(tmp_path / "x.json"), read(tmp_path / "x.outputs.json")
    ((_, iterations),) = given["lst"]
    for number in range(3):
        np.testing.assert_array_equal(fed[number]["x"], data[number].feeds["x"])
        found = iterations[number]["outputs"]["y"]["values"]
        np.testing.assert_array_equal(found, session.run(data[number].feeds)["y"])
        assert found.dtype == np.float32


def test_a_scalar_and_an_empty_array_keep_their_shapes(tmp_path):
    text = "g (float x, float[0,2] e) => (float y, float[0,2] z) { y = Neg(x) z = Neg(e) }"
    feeds = {"x": np.full((), 2, np.float32), "e": np.empty((0, 2), np.float32)}
    session = open_session(from_proto(build(text), name="g"))
    export(session, data_of([feeds]), tmp_path / "x.json", force=False)
    (fed,) = read(tmp_path / "x.json")
    assert (fed["x"].shape, fed["e"].shape) == ((), (0, 2))


def test_few_samples_are_written_of_many(tmp_path):
    done = export(open_session(NET), images(20), tmp_path / "x.json", force=False)
    assert (done.samples, done.judged) == (16, 20)
    assert len(read(tmp_path / "x.json")) == 16


def test_large_samples_are_written_until_there_is_enough(tmp_path, monkeypatch):
    one = 4 * 32 * 32 * (3 + 1)
    monkeypatch.setattr(polygraphy, "MOST_BYTES", 2 * one)
    assert export(open_session(NET), images(4), tmp_path / "x.json", force=False).samples == 2


def test_one_sample_is_written_however_large_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(polygraphy, "MOST_BYTES", 1)
    assert export(open_session(NET), images(4), tmp_path / "x.json", force=False).samples == 1


@pytest.mark.parametrize("there", ["x.json", "x.outputs.json"])
def test_a_file_that_is_there_stays(tmp_path, there):
    (tmp_path / there).write_text("mine", encoding="ascii")
    with pytest.raises(OutputError, match="--force replaces it, --export-inputs names another"):
        export(open_session(NET), images(1), tmp_path / "x.json", force=False)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    export(open_session(NET), images(1), tmp_path / "x.json", force=True)
    assert len(read(tmp_path / "x.json")) == 1


def test_a_run_that_fails_leaves_neither_file(tmp_path):
    wrong = data_of([images(1)[0].feeds, {"x": normal(1, 3, 8, 9)}])
    with pytest.raises(DataError, match="ONNX Runtime fails"):
        export(open_session(NET), wrong, tmp_path / "x.json", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_neither_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(polygraphy, "_write", full)
    with pytest.raises(OutputError, match=r"x\.json': cannot be written: No space left"):
        export(open_session(NET), images(1), tmp_path / "x.json", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_polygraphy_takes_for_a_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.json, such as '.*inputs\.json'"):
        check_export(tmp_path / "inputs", force=False)


def test_outputs_go_beside():
    assert outputs_path(Path("a/x.json")) == Path("a/x.outputs.json")


def test_outputs_of_text_and_sequences_are_named_and_left_out(tmp_path):
    text = """g (float[2] x) => (float[2] y, string[2] t, seq(float[2]) s) {
        y = Neg(x) t = Cast<to = 8>(x) s = SequenceConstruct(x, y) }"""
    session = open_session(from_proto(build(text), name="g"))
    done = export(session, data_of([{"x": normal(2)}]), tmp_path / "x.json", force=False)
    assert done.left_out == ("t", "s")
    ((_, (iteration,)),) = read(tmp_path / "x.outputs.json")["lst"]
    assert list(iteration["outputs"]) == ["y"]


def test_a_model_without_outputs_of_numbers_is_refused(tmp_path):
    text = "g (float[2] x) => (string[2] t) { t = Cast<to = 8>(x) }"
    session = open_session(from_proto(build(text), name="g"))
    with pytest.raises(DataError, match="no output is a tensor of numbers"):
        export(session, data_of([{"x": normal(2)}]), tmp_path / "x.json", force=False)


def test_inputs_of_bfloat16_are_refused(tmp_path):
    text = "g (bfloat16[2] x) => (float[2] y) { y = Cast<to = 1>(x) }"
    session = open_session(from_proto(build(text), name="g"))
    feeds = {"x": normal(2).astype(ml_dtypes.bfloat16)}
    with pytest.raises(DataError, match="'x' is of bfloat16, which Polygraphy's files do not"):
        export(session, data_of([feeds]), tmp_path / "x.json", force=False)
