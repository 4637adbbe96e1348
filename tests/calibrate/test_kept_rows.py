"""Rows are kept between runs; what is corrupt or foreign is measured anew, and said."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from wrg_onnx.calibrate import Cache
from wrg_onnx.calibrate.kept_rows import Store, digest_of
from wrg_onnx.data.dataset import Sample
from wrg_onnx.factors import ACTIVATION, RANK

FACTORS = (ACTIVATION, RANK)
ROW = {RANK: np.array([0.5, 1.0, 0.0]), ACTIVATION: np.array([2.0, 1e9, 0.0])}


def opened(folder, key=("a model",), factors=FACTORS, channels=3):
    return Store(Cache(folder), key, factors, channels)


def filled(folder):
    store = opened(folder)
    store.put("one", ROW)
    store.flush()
    return store


def test_rows_are_found_again_bit_for_bit(tmp_path):
    filled(tmp_path / "new" / "folder")
    again = opened(tmp_path / "new" / "folder")
    assert len(again) == 1
    assert not again.problem
    for factor in FACTORS:
        np.testing.assert_array_equal(again.get("one")[factor], ROW[factor])
    assert again.get("two") is None


def test_rows_are_added_to_those_that_are_there(tmp_path):
    filled(tmp_path)
    again = opened(tmp_path)
    again.put("two", ROW)
    again.flush()
    assert len(opened(tmp_path)) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_processes_have_files_of_their_own_and_read_all(tmp_path):
    for process in (0, 1, 2):
        store = Store(Cache(tmp_path), ("a model",), FACTORS, 3, process)
        store.put(f"image {process}", ROW)
        store.flush()
    assert len(list(tmp_path.iterdir())) == 3
    assert len(opened(tmp_path)) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"key": ("another",)},
        {"factors": (ACTIVATION,)},
        {"key": ("a model", "x")},
        {"factors": (ACTIVATION, dataclasses.replace(RANK, version=RANK.version + 1))},
    ],
)
def test_other_models_options_and_versions_of_a_formula_have_files_of_their_own(tmp_path, other):
    first = filled(tmp_path)
    second = opened(tmp_path, **other)
    assert second.path != first.path
    assert len(second) == 0


def arrays_of(path):
    with np.load(path) as archive:
        return dict(archive)


def spoil_length(arrays):
    arrays["factor.rank"] = arrays["factor.rank"][:, :2]


def spoil_key(arrays):
    arrays["key"] = np.array("0" * 64)


def spoil_range(arrays):
    arrays["factor.rank"] = arrays["factor.rank"] + 1


def spoil_sign(arrays):
    arrays["factor.activation"] = -arrays["factor.activation"]


def spoil_nan(arrays):
    arrays["factor.activation"] = arrays["factor.activation"] * np.nan


def spoil_type(arrays):
    arrays["factor.rank"] = arrays["factor.rank"].astype(np.float32)


def spoil_count(arrays):
    arrays["images"] = np.array(["one", "two"])


def spoil_names(arrays):
    arrays["more"] = np.zeros(3)


@pytest.mark.parametrize(
    "spoil",
    [spoil_length, spoil_key, spoil_range, spoil_sign, spoil_nan, spoil_type, spoil_count,
     spoil_names],
)  # fmt: skip
def test_foreign_rows_are_never_trusted(tmp_path, spoil):
    path = filled(tmp_path).path
    arrays = arrays_of(path)
    spoil(arrays)
    np.savez(path, **arrays)
    again = opened(tmp_path)
    assert len(again) == 0
    assert "does not hold statistics of this model" in again.problem
    assert str(path) in again.problem


@pytest.mark.parametrize("content", [b"", b"not an archive", pickle.dumps([1]), b"PK\x03\x04bad"])
def test_a_broken_file_is_named_and_replaced(tmp_path, content):
    path = filled(tmp_path).path
    path.write_bytes(content)
    again = opened(tmp_path)
    assert len(again) == 0
    assert str(path) in again.problem
    assert "taken anew" in again.problem
    again.put("one", ROW)
    again.flush()
    assert len(opened(tmp_path)) == 1


def test_a_pickle_inside_is_not_opened(tmp_path):
    path = filled(tmp_path).path
    arrays = arrays_of(path)
    arrays["images"] = np.array([print], dtype=object)
    np.savez(path, **arrays)
    again = opened(tmp_path)
    assert len(again) == 0
    assert again.problem


def test_a_folder_that_cannot_be_made_costs_a_note_and_no_result(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = opened(tmp_path / "file")
    store.put("one", ROW)
    store.flush()
    assert "cannot keep statistics" in store.problem
    np.testing.assert_array_equal(store.get("one")[RANK], ROW[RANK])


def test_an_image_is_known_by_what_is_fed_and_by_its_mask():
    def sample(value=1.0, mask=None, name="x", dtype=np.float32):
        feeds = {name: np.full((1, 3), value, dtype)}
        return Sample("s", feeds, None if mask is None else np.full((2, 2), mask))

    different = [
        sample(), sample(2.0), sample(mask=True), sample(mask=False), sample(name="y"),
        sample(dtype=np.float64),
    ]  # fmt: skip
    assert len({digest_of(s) for s in different}) == len(different)
    assert digest_of(sample()) == digest_of(Sample("another name", sample().feeds, None))
