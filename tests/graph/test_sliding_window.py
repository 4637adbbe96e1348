"""Kernel, strides, dilations and padding of a node, with ``auto_pad`` resolved."""

from __future__ import annotations

import pytest
from strategies import build, normal

from wrg_onnx.graph import from_proto
from wrg_onnx.graph.sliding_window import output_sizes, read_transposed_window, read_window


def node_of(op, attributes):
    text = f"net (float[1,1,7] x) => (float[a,b,c] y) {{ y = {op}<{attributes}>(x, w) }}"
    (node,) = from_proto(build(text, {"w": normal(1, 1, 3)}), name="m").nodes
    return node


@pytest.mark.parametrize(
    ("attributes", "size", "begin", "end"),
    [
        ("pads = [1, 2]", 7, 1, 2),
        ('auto_pad = "VALID"', 7, 0, 0),
        ('auto_pad = "SAME_UPPER", strides = [2]', 6, 0, 1),
        ('auto_pad = "SAME_LOWER", strides = [2]', 6, 1, 0),
        ('auto_pad = "SAME_UPPER", dilations = [2]', 7, 2, 2),
        ('auto_pad = "SAME_UPPER", strides = [5]', 6, 1, 1),
    ],
)
def test_the_padding_of_a_convolution(attributes, size, begin, end):
    window = read_window(node_of("Conv", attributes), (3,), (size,))
    assert (window.begins, window.ends) == ((begin,), (end,))


@pytest.mark.parametrize("size", range(3, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_gives_a_place_to_each_stride(size, stride):
    node = node_of("Conv", f'auto_pad = "SAME_UPPER", strides = [{stride}]')
    assert output_sizes(read_window(node, (3,), (size,)), (size,), ceil=False) == (
        -(-size // stride),
    )


@pytest.mark.parametrize(
    ("attributes", "begin", "end", "extra"),
    [
        ("strides = [2], pads = [1, 0], output_padding = [1]", 1, 0, 1),
        ("strides = [2], output_shape = [12]", 2, 1, 0),
        ('strides = [2], output_shape = [12], auto_pad = "SAME_UPPER"', 1, 2, 0),
        ('strides = [2], auto_pad = "SAME_UPPER"', 0, 1, 0),
        ('strides = [2], auto_pad = "SAME_LOWER"', 1, 0, 0),
    ],
)
def test_the_crop_of_a_transposed_convolution(attributes, begin, end, extra):
    window, padding = read_transposed_window(node_of("ConvTranspose", attributes), (3,), (7,))
    assert (window.begins, window.ends, padding) == ((begin,), (end,), (extra,))


def test_a_last_window_may_hang_over_the_end_but_not_lie_behind_it():
    node = node_of("Conv", "strides = [3], pads = [0, 2]")
    window = read_window(node, (2,), (6,))
    assert output_sizes(window, (6,), ceil=False) == (3,)
    assert output_sizes(window, (6,), ceil=True) == (2,)
    assert output_sizes(window, (7,), ceil=True) == (3,)
