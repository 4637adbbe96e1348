"""Changes of files are drawn: they change something, the same again, and stay what they are for."""

from __future__ import annotations

import io
import json
import random

import numpy as np
import onnx
import pytest

from mutate import change_archive, change_bytes, change_json, change_model, change_safetensors

CONTENT = {"a": [1, 2.5, "b"], "c": {"d": None, "e": True}}


def model():
    text = """<ir_version: 8, opset_import: ["": 17]> g (float[1,4] x) => (float[1,2] y)
        <float[4,2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul(x, w) }"""
    return onnx.parser.parse_model(text).SerializeToString()


def archive():
    held = io.BytesIO()
    np.savez(held, x=np.ones((1, 3), np.float32), y=np.zeros(2))
    return held.getvalue()


def tensors():
    notes = {"held": json.dumps(CONTENT)}
    header = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": notes}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(8)


WAYS = {
    "bytes": (change_bytes, lambda: bytes(range(256)) * 4),
    "model": (change_model, model),
    "archive": (change_archive, archive),
    "json": (change_json, lambda: json.dumps(CONTENT).encode()),
    "json behind a line": (change_json, lambda: b"key\n" + json.dumps(CONTENT).encode()),
    "safetensors": (change_safetensors, tensors),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_change_is_the_same_for_the_same_draw_and_differs_between_draws(way):
    change, make = WAYS[way]
    made = [change(make(), random.Random(seed)) for seed in range(60)]
    assert made == [change(make(), random.Random(seed)) for seed in range(60)]
    assert len({*made}) > 30
    assert sum(each == make() for each in made) < 15


def test_what_is_changed_in_a_model_can_mostly_be_read_as_one():
    made = [change_model(model(), random.Random(seed)) for seed in range(60)]
    assert all(onnx.ModelProto.FromString(each) is not None for each in made)


def test_what_is_no_model_is_changed_as_bytes():
    assert change_model(b"\xff\xff\xff\xff", random.Random(0)) is not None


def test_safetensors_are_told_their_true_length_most_of_the_time():
    made = [change_safetensors(tensors(), random.Random(seed)) for seed in range(60)]
    right = 0
    for each in made:
        length = int.from_bytes(each[:8], "little")
        right += each[8 : 8 + length][-1:] in (b"}", b"]") and len(each) - 8 - length == 8
    assert right > 40
