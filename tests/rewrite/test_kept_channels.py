import json

import numpy as np
import pytest
from cuts import cut
from strategies import normal

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Edit, edited, load, save
from wrg_onnx.rewrite import KeptChannels, compose, kept_channels, read_note, with_note
from wrg_onnx.rewrite.kept_channels import NOTE


def kept(positions, total, axis=1):
    return KeptChannels(axis, np.array(positions), total)


def test_two_cuts_join_into_one_of_the_original():
    joined = compose({"y": kept([0, 2, 5], 6)}, {"y": kept([0, 2], 3)})["y"]
    assert joined.positions.tolist() == [0, 5]
    assert (joined.axis, joined.total) == (1, 6)


def test_a_cut_that_does_not_follow_the_other_is_left_out():
    assert compose({"y": kept([0, 2, 5], 6)}, {"y": kept([0, 2], 4), "z": kept([0], 2)}) == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [(kept([0, 2], 6), kept([0, 1, 2], 3)), (kept([0, 1, 2], 3), kept([0, 3], 4))],
    ids=["later whole", "earlier whole"],
)
def test_a_whole_tensor_of_another_width_does_not_follow(first, second):
    assert compose({"y": first}, {"y": second}) == {}


def test_a_tensor_that_is_whole_twice_may_change_where_no_channels_are():
    joined = compose({"y": kept(range(9), 9)}, {"y": kept(range(5), 5)})
    assert joined["y"].is_whole


def test_a_whole_tensor_joins_with_a_cut_on_any_axis():
    whole, cut_later = kept([0, 1, 2], 3), kept([1, 4], 5, axis=2)
    assert compose({"y": whole}, {"y": cut_later})["y"] is cut_later
    assert compose({"y": cut_later}, {"y": whole})["y"] is cut_later


def two_layers(gone):
    text = "net (float[1,3,4,4] x) => (float[1,5,4,4] y) { a = Conv(x, w)  y = Conv(a, v) }"
    return cut(text, {"w": normal(8, 3, 1, 1), "v": normal(5, 8, 1, 1)}, {("w", 0): gone})


def test_the_layers_outputs_are_listed_whole_ones_too():
    kept_ones = two_layers([0, 1, 6]).kept
    assert kept_ones["a"].positions.tolist() == [2, 3, 4, 5, 7]
    assert (kept_ones["a"].axis, kept_ones["a"].total, kept_ones["a"].is_whole) == (1, 8, False)
    assert kept_ones["y"].is_whole


def test_a_file_says_what_it_has_kept(tmp_path):
    made = two_layers([0, 1, 6])
    save(with_note(made.pruned, made.kept), tmp_path / "m.onnx", force=False)
    read = read_note(load(tmp_path / "m.onnx"))
    assert read.keys() == made.kept.keys()
    for name, one in read.items():
        assert (one.axis, one.total) == (made.kept[name].axis, made.kept[name].total)
        np.testing.assert_array_equal(one.positions, made.kept[name].positions)


def test_a_file_without_a_note_says_nothing():
    assert read_note(two_layers([0]).before) == {}


@pytest.mark.parametrize(
    "note",
    ["{", "[]", "7", '{"a": 3}', '{"a": [1]}', '{"a": [1, 4, [2, 3]]}', '{"a": [-1, 4, [2, 1]]}',
     json.dumps({"a": [1, 1 << 40, [0, 1 << 40]]}), "[" * 100_000, '{"a": [1, -4]}',
     '{"a": [true, 4, [2, 1]]}', json.dumps({"a": [10**22, 4, [2, 1]]}),
     json.dumps({"a": [1, 4, [2, 1], [2, 1]]}), json.dumps({"a": [1, 4, ["2", 1]]}),
     json.dumps({"a": [1, 4, [2]]}), json.dumps({"a": [1.5, 4, [2, 1]]}),
     json.dumps({f"t{k}": [0, 1 << 24, [0, 1 << 24]] for k in range(64)})],
)  # fmt: skip
def test_a_broken_note_is_an_error(note):
    graph = edited(two_layers([0]).before, Edit(metadata={NOTE: note}))
    with pytest.raises(ModelError, match=r"the note 'wrg_onnx\.kept' .* is broken"):
        read_note(graph)


def test_many_tensors_may_keep_much_but_not_all_together(monkeypatch):
    monkeypatch.setattr(kept_channels, "MOST_CHANNELS", 12)
    graph = two_layers([0]).before
    table = {"a": [1, 8, [0, 7]], "y": [1, 5, [0, 2], [3, 2]]}
    read = read_note(edited(graph, Edit(metadata={NOTE: json.dumps(table)})))
    assert [len(one.positions) for one in read.values()] == [7, 4]
    table["z"] = [0, 2, [0, 2]]
    with pytest.raises(ModelError, match="keeps 13 channels in all, 12 are the most"):
        read_note(edited(graph, Edit(metadata={NOTE: json.dumps(table)})))


def test_other_notes_of_a_file_stay():
    graph = edited(two_layers([0]).before, Edit(metadata={"author": "me"}))
    assert with_note(graph, {}).metadata == {"author": "me", NOTE: "{}"}
