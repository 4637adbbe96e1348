"""What the operators that read an input tell of its shape."""

from __future__ import annotations

import pytest
from strategies import build, normal

from wrg_onnx.channels import told_inputs
from wrg_onnx.graph.load import from_proto


def told(body, weights, signature="float[1] x", rankless=("x",), shapes=None):
    model = build(f"net ({signature}) => (float y) {{ {body} }}", weights)
    for value in model.graph.input:
        if value.name in rankless:
            value.type.tensor_type.ClearField("shape")
    return {v.name: v.shape for v in told_inputs(from_proto(model, name="m"), shapes)}


@pytest.mark.parametrize(
    ("body", "weights", "shape"),
    [
        ("y = Conv(x, w)", {"w": normal(4, 3, 3, 3)}, (None, 3, None, None)),
        ("y = Conv<group = 2>(x, w)", {"w": normal(4, 3, 3)}, (None, 6, None)),
        ("y = ConvTranspose(x, w)", {"w": normal(4, 3, 2, 2)}, (None, 4, None, None)),
        ("y = Gemm(x, w)", {"w": normal(5, 2)}, (None, 5)),
        ("y = Gemm<transA = 1, transB = 1>(x, w)", {"w": normal(5, 2)}, (2, None)),
        ("y = LSTM<hidden_size = 4>(x, w, r)", {"w": normal(1, 16, 6), "r": normal(1, 16, 4)},
         (None, None, 6)),
        ("a = Relu(x)  b = Sub(a, m)  y = Conv(b, w)",
         {"m": normal(1, 3, 1, 1), "w": normal(4, 3, 3, 3)}, (None, 3, None, None)),
        ("t = Transpose<perm = [0, 3, 1, 2]>(x)  y = Conv(t, w)", {"w": normal(4, 3, 3, 3)},
         (None, None, None, 3)),
        ("p = MaxPool<kernel_shape = [2, 2]>(x)  y = Conv(p, w)", {"w": normal(4, 3, 3, 3)},
         (None, 3, None, None)),
    ],
)  # fmt: skip
def test_a_reader_tells_rank_and_channels(body, weights, shape):
    assert told(body, weights) == {"x": shape}


def test_a_product_tells_the_last_axis_of_a_known_rank():
    found = told("y = MatMul(x, w)", {"w": normal(6, 4)}, "float[N,T,C] x", rankless=())
    assert found == {"x": ("N", "T", 6)}


def test_a_symbol_that_is_told_once_holds_everywhere():
    body = "c = Conv(x, w)  y = Add(c, z)"
    found = told(body, {"w": normal(4, 3, 1, 1)}, "float[N,C,H,W] x, float[N,C] z", rankless=())
    assert found == {"x": ("N", 3, "H", "W"), "z": ("N", 3)}


def test_a_state_of_a_recurrent_operator_has_its_width():
    body = "a, y = GRU<hidden_size = 4>(x, w, r, , , h)"
    weights = {"w": normal(1, 12, 6), "r": normal(1, 12, 4)}
    found = told(body, weights, "float[T,N,6] x, float[A,N,B] h", rankless=())
    assert found["h"] == (1, "N", 4)


def test_a_partner_of_a_known_shape_tells_all():
    found = told("a = Relu(x)  y = Mul(a, s)", {}, "float[1,8,4,4] x, float[A,B,C,D] s", (),
                 {"a": (1, 8, 4, 4)})  # fmt: skip
    assert found["s"] == (1, 8, 4, 4)


def test_what_is_joined_has_the_rest_of_the_channels():
    found = told("c = Concat<axis = 1>(x, s)  y = Conv(c, w)", {"w": normal(2, 12, 1, 1)},
                 "float[1,8,4,6] x, float[A,B,C,D] s", (), {"x": (1, 8, 4, 6)})  # fmt: skip
    assert found["s"] == (1, 4, 4, 6)


def test_nobody_tells_of_an_input_that_is_flattened():
    assert told("f = Flatten(x)  y = Gemm(f, w)", {"w": normal(5, 2)}) == {"x": None}
