"""Which sizes inputs get where the file leaves them open."""

from __future__ import annotations

from itertools import islice

import pytest
from strategies import build

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import bind_sizes, guesses, is_guessed, other_guesses
from wrg_onnx.graph.given import contradictions
from wrg_onnx.graph.guess import MOST_ELEMENTS, MOST_GUESSES
from wrg_onnx.graph.load import from_proto


def inputs_of(text):
    model = build(f"net ({text}) => (float[1] y) {{ y = ReduceSum(x) }}")
    return from_proto(model, name="m").inputs


def sizes_of(name, inputs, **how):
    return [guess[name] for guess in guesses(inputs, **how)]


@pytest.mark.parametrize("batch", ["N", "B", "bs", "batch", "batch_size", "Batch", "audio_batch"])
def test_axes_that_count_samples_are_1_wherever_they_stand(batch):
    inputs = inputs_of(f"float[2,{batch},128] state, float[{batch},T] x")
    assert bind_sizes(inputs) == {"state": (2, 1, 128), "x": (1, 16)}


@pytest.mark.parametrize("symbol", ["unk__12", "anything"])
def test_axis_0_counts_samples_whatever_its_name(symbol):
    assert bind_sizes(inputs_of(f"float[{symbol},T] x")) == {"x": (1, 16)}


def test_the_first_guess_is_the_default_and_cheap_ones_come_first():
    assert sizes_of("x", inputs_of("float[N,T,8] x"))[:6] == [
        (1, 16, 8), (1, 1, 8), (1, 8, 8), (1, 32, 8), (1, 64, 8), (1, 128, 8),
    ]  # fmt: skip


def test_sides_of_images_are_multiples_of_32():
    found = [shape[2:] for shape in sizes_of("x", inputs_of("float[N,3,H,W] x"))]
    assert found[:2] == [(224, 224), (256, 256)]
    assert all(side % 32 == 0 for shape in found for side in shape)


def test_open_axes_are_alike_before_they_differ():
    found = list(guesses(inputs_of("float[N,S,4] x, float[N,T,4] z")))
    pairs = [(guess["x"][1], guess["z"][1]) for guess in found]
    assert pairs[0] == (16, 16)
    assert pairs.index((64, 64)) < pairs.index((64, 16)) < pairs.index((64, 1))


def test_axes_without_a_name_are_guessed_one_by_one():
    inputs = inputs_of("float[1,?,4] x, float[1,?,4] z")
    pairs = [(guess["x"][1], guess["z"][1]) for guess in guesses(inputs)]
    assert {(16, 16), (16, 1), (1, 16), (8, 8)} <= set(pairs)


def test_sound_is_tried_for_floats_in_a_row_alone():
    assert (1, 16000) in sizes_of("x", inputs_of("float[N,T] x"))
    assert (1, 16000) not in sizes_of("x", inputs_of("int64[N,T] x"))
    assert (1, 16000, 8) not in sizes_of("x", inputs_of("float[N,T,8] x"))


def test_inputs_of_which_nothing_is_known_may_be_spread():
    inputs = inputs_of("float[N,3,H,W] x, float[N,C,H,W] r")
    _, second = islice(guesses(inputs, spread=["r"]), 2)
    assert second == {"x": (1, 3, 224, 224), "r": (1, 1, 1, 1)}


def test_what_was_taken_for_samples_may_be_a_length():
    assert (16, 16) in sizes_of("x", inputs_of("float[N,16] x, float[1,T] z"))


def test_guesses_differ_and_are_few_and_small():
    found = list(guesses(inputs_of("float[N,A,B] x, float[N,C,D] u, float[N,E,F,G] z")))
    assert len(found) == MOST_GUESSES
    assert all(guess not in found[:place] for place, guess in enumerate(found))
    sizes = [a * b * c for guess in found for a, b, c in (guess["x"], guess["u"])]
    assert max(sizes) <= MOST_ELEMENTS


def test_given_shapes_and_their_symbols_are_no_guess():
    inputs = inputs_of("float[N,T] x, float[N,T,8] z, float[N,S] w")
    assert is_guessed(inputs, {"x": (1, 32)})
    assert not is_guessed(inputs, {"x": (1, 32), "w": (1, 8)})
    assert all(g["z"] == (1, 32, 8) for g in guesses(inputs, given={"x": (1, 32)}))


def test_samples_alone_are_no_guess():
    assert not is_guessed(inputs_of("float[N,3,32,32] x"), {})


def test_given_shapes_that_contradict_each_other_are_named():
    inputs = inputs_of("float[N,T] x, float[N,T,8] z")
    given = {"x": (1, 4), "z": (1, 5, 8)}
    assert contradictions(inputs, given) == {"T": ["x", "z"]}
    assert is_guessed(inputs, given)


def test_an_input_without_rank_is_refused_with_the_option():
    model = build("net (float[1] x) => (float[1] y) { y = Relu(x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match=r"input 'x' has no rank .* give --shape x=AxB"):
        bind_sizes(from_proto(model, name="m").inputs)


def test_larger_sizes_leave_spread_states_alone_at_the_second_try():
    inputs = inputs_of("float[N,3,H,W] x, float[N,C,H,W] r")
    first, second, third, last = other_guesses(inputs, {"x": (1, 3, 224, 224), "r": (1, 1, 1, 1)})
    assert first == {"x": (2, 3, 288, 288), "r": (2, 9, 9, 9)}
    assert second == {"x": (2, 3, 288, 288), "r": (2, 1, 1, 1)}
    assert third == {"x": (1, 3, 288, 288), "r": (1, 1, 1, 1)}
    assert last == {"x": (2, 3, 224, 224), "r": (2, 1, 1, 1)}


def test_a_batch_behind_axis_0_grows_by_one():
    inputs = inputs_of("float[2,N,8] s, float[N,T] x")
    first = next(other_guesses(inputs, {"s": (2, 1, 8), "x": (1, 16)}))
    assert first == {"s": (2, 2, 8), "x": (2, 24)}
