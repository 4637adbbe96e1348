"""What was measured of layers is found again to the bit; what is no such thing is measured anew."""

from __future__ import annotations

import dataclasses
import pickle
import zipfile

import numpy as np
import pytest
from cuts import data_of, normal_data
from linear_forms import FORMS
from strategies import analyse, build, normal

from wrg_onnx.calibrate import Cache
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.graph import Provider
from wrg_onnx.recover import (
    MeasureOptions,
    RowOptions,
    find_or_measure,
    grid_sums,
    kept_layers,
    measure,
    measure_layers,
    measured_arrays,
)

OPTIONS = MeasureOptions()

RESIDUAL = """net (float[N,3,8,8] x) => (float[N,5,8,8] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, w1)  p = Relu(a)  q = Conv<group = 2>(p, w2, b2)  r = Add(q, p)
    s = Conv(r, w3)  t = Conv(r, w4)  u = Add(s, t)  y = Relu(u) }"""
WEIGHTS = {
    "w1": normal(8, 3, 3, 3), "w2": normal(8, 4, 1, 1), "b2": normal(8),
    "w3": normal(5, 8, 1, 1), "w4": normal(5, 8, 1, 1, seed=1),
}  # fmt: skip


def residual():
    """Return a net with groups, layers that read the same, and what is added to their outputs."""
    return analyse(build(RESIDUAL, WEIGHTS)).graph


def images(count=4, seed=0):
    return normal_data((1, 3, 8, 8), count, seed=seed)


def find(tmp_path, graph=None, data=None, options=OPTIONS, limit=2**30):
    graph = residual() if graph is None else graph
    data = images() if data is None else data
    return find_or_measure(graph, data, options, Cache(tmp_path, limit))


def must_not_measure(*_, **__):
    raise AssertionError("it was measured again")


@pytest.fixture
def kept(tmp_path):
    """Return the file of a first run."""
    find(tmp_path)
    (path,) = tmp_path.iterdir()
    return path


def times_measured(monkeypatch):
    """Count how often layers are measured from now on."""
    calls = []
    real = measure_layers

    def counted(*given, **named):
        calls.append(given)
        return real(*given, **named)

    monkeypatch.setattr(kept_layers, "measure_layers", counted)
    return calls


def same_sums(one, other):
    if one is None or other is None:
        assert one is other
        return
    assert one.rows == other.rows
    for name in ("x", "y", "xx", "yx", "yy"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    for name in ("x", "y"):
        first, second = getattr(one.origin, name), getattr(other.origin, name)
        if first is None or second is None:
            assert first is second
        else:
            np.testing.assert_array_equal(first, second)
            assert first.dtype == second.dtype == np.float32


def same_layers(one, other):
    """Hold two measurements against each other, to the bit and in the order in memory."""
    assert one.graph is other.graph
    assert list(one.layers) == list(other.layers)
    for name, first in one.layers.items():
        second = other.layers[name]
        assert first.layer.target == second.layer.target == name
        np.testing.assert_array_equal(first.weight, second.weight)
        np.testing.assert_array_equal(first.bias, second.bias)
        same_sums(first.sums, second.sums)
        assert len(first.halves) == len(second.halves)
        for half, again in zip(first.halves, second.halves, strict=True):
            same_sums(half, again)
        for rows, again in zip(first.rows, second.rows, strict=True):
            assert rows.shape == again.shape
            assert again.places.dtype == np.int64
            np.testing.assert_array_equal(rows.places, again.places)
            assert (rows.shortcut is None) == (again.shortcut is None)
            for made, found in ((rows.goal, again.goal), (rows.shortcut, again.shortcut)):
                if made is not None:
                    np.testing.assert_array_equal(made, found)
                    assert made.flags.c_contiguous
                    assert found.flags.c_contiguous
                    assert made.dtype == found.dtype == np.float32


@pytest.mark.parametrize("wide_from", [grid_sums.WIDE, 1])
@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_layer_is_found_again_to_the_bit(
    tmp_path, form, halves, wide_from, monkeypatch
):
    monkeypatch.setattr(grid_sums, "WIDE", wide_from)
    monkeypatch.setattr(measured_arrays, "BLOCK", 4)
    op, attributes, shape, weight = FORMS[form]
    dims = ",".join(map(str, shape))
    text = f"g (float[{dims}] x) => (float y) {{ y = {op}<{attributes}>(x, w) }}"
    graph = analyse(build(text.replace("<>", ""), {"w": normal(*weight)})).graph
    data, options = normal_data(shape, 4), MeasureOptions(halves=halves)
    first = find(tmp_path, graph, data, options)
    monkeypatch.setattr(kept_layers, "measure_layers", must_not_measure)
    second = find(tmp_path, graph, data, options)
    assert (first.problem, second.problem) == ("", "")
    same_layers(first.measured, second.measured)


@pytest.mark.parametrize("halves", [False, True])
def test_groups_shortcuts_and_layers_that_share_are_found_again(tmp_path, halves, monkeypatch):
    graph, options = residual(), MeasureOptions(halves=halves)
    first = find(tmp_path, graph, options=options).measured
    monkeypatch.setattr(kept_layers, "measure_layers", must_not_measure)
    second = find(tmp_path, graph, options=options).measured
    same_layers(first, second)
    assert any(rows.shortcut is not None for rows in second.layers["q"].rows)
    assert second.layers["s"].sums is second.layers["t"].sums
    assert second.layers["s"].rows[0].places is second.layers["t"].rows[0].places


def test_a_dead_input_whose_sums_are_rounded_below_zero_is_found_again(tmp_path, monkeypatch):
    """Sums over a grid are differences of others, so that a square may come out as -1e-12."""
    graph, real = residual(), measure_layers

    def rounded(*given, **named):
        measured = real(*given, **named)
        measured.layers["a"].sums.xx[0, 0, 0] = -1e-12
        return measured

    monkeypatch.setattr(kept_layers, "measure_layers", rounded)
    first = find(tmp_path, graph).measured
    monkeypatch.setattr(kept_layers, "measure_layers", must_not_measure)
    second = find(tmp_path, graph)
    assert second.problem == ""
    assert second.measured.layers["a"].sums.xx[0, 0, 0] == -1e-12
    same_layers(first, second.measured)


def test_a_layer_whose_covariance_does_not_fit_is_found_again_without(tmp_path, monkeypatch):
    graph = residual()
    monkeypatch.setattr(measure, "GRAM_BYTES", 8 * 2 * 4**2)  # that of the groups alone
    first = find(tmp_path, graph).measured
    assert [name for name, one in first.layers.items() if one.sums is None] == ["a", "s", "t"]
    monkeypatch.setattr(kept_layers, "measure_layers", must_not_measure)
    same_layers(first, find(tmp_path, graph).measured)


def test_a_sample_that_gives_no_row_is_found_again(tmp_path, monkeypatch):
    text = "g (float[N,4] x) => (float[N,6] y) { y = MatMul(x, w) }"
    graph = analyse(build(text, {"w": normal(4, 6)}), x=(2, 4)).graph
    empty, full = np.zeros((0, 4), np.float32), normal(3, 4).astype(np.float32)
    for data in (data_of({"x": full}, {"x": empty}), data_of({"x": empty})):
        first = find(tmp_path, graph, data).measured
        with monkeypatch.context() as patch:
            patch.setattr(kept_layers, "measure_layers", must_not_measure)
            second = find(tmp_path, graph, data)
        assert second.problem == ""
        rows = second.measured.layers["y"].rows
        assert [len(one.places) for one in rows] == [3, 0][-len(data) :]
        assert rows[-1].goal.shape == (6, 0)
        same_layers(first, second.measured)


def test_a_model_without_layers_is_kept_too(tmp_path):
    graph = analyse(build("g (float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }", {})).graph
    assert find(tmp_path, graph).measured.layers == {}
    assert find(tmp_path, graph).problem == ""


SALIENCY = SaliencyMap("y", axis=1, channels=1, is_logit=False)

OTHERS = {
    "weights": {"graph": analyse(build(RESIDUAL, {**WEIGHTS, "b2": normal(8, seed=5)})).graph},
    "images": {"data": images(seed=1)},
    "fewer images": {"data": images(3)},
    "their order": {"data": images().take([1, 0, 2, 3])},
    "halves": {"options": MeasureOptions(halves=True)},
    "seed": {"options": MeasureOptions(rows=RowOptions(seed=1))},
    "share at objects": {"options": MeasureOptions(rows=RowOptions(at_objects=0.25))},
    "threshold": {"options": MeasureOptions(rows=RowOptions(threshold=0.5))},
    "rows": {"options": MeasureOptions(rows=RowOptions(per_input=10))},
}


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_whatever_it_depends_on_is_in_the_key(tmp_path, other):
    find(tmp_path, **other)
    assert len(list(tmp_path.iterdir())) == 2


def test_every_option_is_in_the_key():
    key = repr(MeasureOptions(Provider.CUDA, RowOptions(SALIENCY)))
    for record in (MeasureOptions, RowOptions, SaliencyMap):
        for field in dataclasses.fields(record):
            assert f"{field.name}=" in key


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("name", ["VERSION", "__version__", "_FORMAT"])
def test_versions_are_in_the_key(tmp_path, name, monkeypatch):
    monkeypatch.setattr(kept_layers, name, "another")
    find(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


# --- What is no such file -------------------------------------------------------------------------


def spoiled(path, change):
    """Write a file again with its arrays changed."""
    with np.load(path) as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(path, **arrays)


def set_to(name, at, value):
    def change(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][at] = value

    return change


def replaced(name, make):
    def change(arrays):
        arrays[name] = make(arrays[name])

    return change


def without(name):
    return lambda arrays: arrays.pop(name)


SPOILT = {
    "another key": replaced("key", lambda _: np.array("0" * 64)),
    "a key that is no text": replaced("key", lambda _: np.zeros(2)),
    "a missing array": without("goals.0"),
    "no key": without("key"),
    "one more array": lambda arrays: arrays.update(more=np.zeros(1)),
    "fewer goals": replaced("goals.0", lambda a: a[:-1]),
    "goals in a table": replaced("goals.0", lambda a: a[None]),
    "goals of another type": replaced("goals.0", lambda a: a.astype(np.float64)),
    "a goal that is none": set_to("goals.0", 0, np.nan),
    "an infinite shortcut": set_to("shortcuts.1", 0, -np.inf),
    "an infinite square": set_to("squares.0", 0, np.inf),
    "negative rows": set_to("rows", 0, -1),
    "a negative count": set_to("counts", 0, -1),
    "a huge count": set_to("counts", 0, 2**62),
    "a huge rank": set_to("ranks", 0, 2**40),
    "another shape": set_to("shapes", slice(None), 1),
    "a place that is not there": set_to("places", 0, 255),
    "signed places": replaced("places", lambda a: a.astype(np.int64)),
    "three parts": set_to("parts", 0, 3),
    "sums that are not told": set_to("parts", 0, 0),
    "flags that are numbers": replaced("has_shortcut", lambda a: a.astype(np.int8)),
    "another flag": set_to("has_shortcut", 0, True),
}  # fmt: skip


@pytest.mark.parametrize("change", SPOILT.values(), ids=SPOILT)
def test_a_file_that_holds_something_else_is_measured_anew_and_told(
    tmp_path, kept, change, monkeypatch
):
    spoiled(kept, change)
    calls = times_measured(monkeypatch)
    graph = residual()
    found = find(tmp_path, graph)
    assert f"'{kept}' does not hold what layers of this model make" in found.problem
    same_layers(measure_layers(graph, images(), OPTIONS), found.measured)
    assert find(tmp_path, graph).problem == ""  # it was replaced
    assert len(calls) == 1


BROKEN = [b"", b"not an archive", pickle.dumps([1]), b"PK\x03\x04bad"]


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_is_named_and_replaced(tmp_path, kept, content):
    kept.write_bytes(content)
    problem = find(tmp_path).problem
    assert str(kept) in problem
    assert "measured anew" in problem
    assert find(tmp_path).problem == ""


def test_a_bit_that_was_turned_is_noticed(tmp_path, kept):
    whole = kept.read_bytes()
    with zipfile.ZipFile(kept) as archive:
        at = archive.getinfo("goals.0.npy").header_offset + 300
    kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    problem = find(tmp_path).problem
    assert f"cannot read '{kept}'" in problem
    assert "Bad CRC-32" in problem


def test_a_file_that_is_cut_off_is_noticed(tmp_path, kept):
    kept.write_bytes(kept.read_bytes()[:-100])
    assert f"cannot read '{kept}'" in find(tmp_path).problem


def test_a_pickle_inside_is_not_opened(tmp_path, kept):
    spoiled(kept, replaced("goals.0", lambda a: np.array([print] * len(a), dtype=object)))
    assert "does not hold" in find(tmp_path).problem


def test_a_packed_file_is_not_unfolded(tmp_path, kept):
    with np.load(kept) as archive:
        arrays = dict(archive)
    np.savez_compressed(kept, **arrays)
    assert "does not hold" in find(tmp_path).problem


def test_a_single_array_in_the_place_of_an_archive_is_refused(tmp_path, kept):
    with kept.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert "File is not a zip file" in find(tmp_path).problem


# --- The folder -----------------------------------------------------------------------------------


def test_what_does_not_fit_is_not_kept_and_told(tmp_path):
    problem = find(tmp_path, limit=1000).problem
    assert "was not kept for other runs: it takes 1 MiB, and 1 MiB of the 1 MiB" in problem
    assert "WRG_ONNX_CACHE_LIMIT" in problem
    assert list(tmp_path.iterdir()) == []


def test_its_size_is_known_before_it_is_written(kept):
    size = measured_arrays.size_of(measure_layers(residual(), images(), OPTIONS))
    with np.load(kept) as archive:
        held = sum(archive[name].nbytes for name in archive.files)
    assert 0.9 * held < size < 1.2 * held


def test_a_folder_that_cannot_be_made_costs_a_note_and_no_result(tmp_path):
    (tmp_path / "file").write_text("in the way")
    found = find(tmp_path / "file")
    assert "cannot keep what layers make" in found.problem
    assert set(found.measured.layers) == {"a", "q", "s", "t"}


def test_a_full_disk_costs_a_note_and_leaves_nothing(tmp_path, monkeypatch):
    real = np.save
    written = []

    def full(stream, array, **options):
        written.append(array)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        real(stream, array, **options)

    monkeypatch.setattr(np, "save", full)
    found = find(tmp_path)
    assert found.problem.endswith("No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_use_is_noted(tmp_path):
    times = iter([1000.0, 2000.0])
    cache = Cache(tmp_path, now=lambda: next(times))
    for moment in (1000.0, 2000.0):
        find_or_measure(residual(), images(), OPTIONS, cache)
        (file,) = cache.files()
        assert (file.used, file.is_of_layers) == (moment, True)
