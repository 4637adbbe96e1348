"""What older opsets mean, and what the backend cases leave out, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import parser

from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import build_twin

onnxruntime = pytest.importorskip("onnxruntime")

GRAPHS = {
    # Attributes that later became inputs.
    "clip_6": (7, "y = Clip <min = -0.5, max = 0.25> (x)"),
    "pad_2": (7, "y = Pad <pads = [0, 0, 1, -1, 0, 0, 2, 0], value = 0.5> (x)"),
    "pad_2_reflect": (7, 'y = Pad <mode = "reflect", pads = [0, 0, 1, 2, 0, 0, 3, 1]> (x)'),
    "pad_2_edge": (7, 'y = Pad <mode = "edge", pads = [0, 0, 1, 2, 0, 0, 3, 1]> (x)'),
    "slice_1": (7, "y = Slice <axes = [2, 1], starts = [-3, 1], ends = [9999, 3]> (x)"),
    "slice_1_all_axes": (7, "y = Slice <starts = [0, 1], ends = [2, -1]> (x)"),
    "split_2": (7, "y, z = Split <axis = 1, split = [1, 3]> (x)"),
    "split_2_equal": (7, "y, z = Split <axis = 1> (x)"),
    "squeeze_1": (
        7,
        ("s = Slice <axes = [1], starts = [0], ends = [1]> (x)\ny = Squeeze <axes = [1]> (s)"),
    ),
    "unsqueeze_1": (7, "y = Unsqueeze <axes = [3, 0]> (x)"),
    "reduce_mean_1": (7, "y = ReduceMean <axes = [2, 3], keepdims = 0> (x)"),
    "reduce_sum_1": (7, "y = ReduceSum <axes = [-1]> (x)"),
    "reduce_l2_all": (7, "y = ReduceL2 (x)"),
    "top_k_1": (7, "y, z = TopK <axis = 2, k = 2> (x)"),
    "dropout_7": (7, "y = Dropout <ratio = 0.5> (x)"),
    "upsample_7_nearest": (7, "y = Upsample <scales = [1.0, 1.0, 2.0, 1.5]> (x)"),
    "upsample_7_linear": (7, 'y = Upsample <mode = "linear", scales = [1.0, 1.0, 2.0, 1.5]> (x)'),
    # Meanings that changed.
    "softmax_1_flattens": (7, "y = Softmax <axis = 1> (x)"),
    "softmax_1_default": (11, "y = Softmax (x)"),
    "log_softmax_1": (11, "y = LogSoftmax <axis = 2> (x)"),
    "hardmax_1": (11, "y = Hardmax <axis = 2> (x)"),
    "gemm_9": (
        9,
        (
            "f = Flatten <axis = 3> (x)\nw = Constant <value = float[6,2] "
            "{1,2,3,4,5,6,7,8,9,8,7,6}> ()\nc = Constant <value = float[2] {1,-1}> ()\n"
            "y = Gemm <alpha = 0.5, beta = 2.0> (f, w, c)"
        ),
    ),
    "upsample_9": (
        9,
        ('s = Constant <value = float[4] {1, 1, 2, 3}> ()\ny = Upsample <mode = "linear"> (x, s)'),
    ),
    "resize_10_shrinks": (
        10,
        (
            "s = Constant <value = float[4] {1, 1, 0.6, 0.5}> ()\n"
            'y = Resize <mode = "nearest"> (x, s)'
        ),
    ),
    "resize_10_linear": (
        10,
        (
            "s = Constant <value = float[4] {1, 1, 1.3, 0.5}> ()\n"
            'y = Resize <mode = "linear"> (x, s)'
        ),
    ),
    "resize_11_tf_half_pixel": (
        11,
        (
            "r = Constant <value = float[0] {}> ()\n"
            "s = Constant <value = float[4] {1, 1, 1.7, 0.6}> ()\n"
            'y = Resize <mode = "nearest", nearest_mode = "floor", '
            'coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, r, s)'
        ),
    ),
    # Geometry that no single call of torch computes.
    "resize_13_align_corners_shrinks": (
        13,
        (
            "s = Constant <value = float[4] {1, 1, 0.7, 0.6}> ()\n"
            'y = Resize <coordinate_transformation_mode = "align_corners", mode = "linear"> '
            "(x, , s)"
        ),
    ),
    "resize_18_antialias": (
        18,
        (
            "s = Constant <value = int64[4] {2, 4, 3, 4}> ()\n"
            'y = Resize <mode = "cubic", antialias = 1> (x, , , s)'
        ),
    ),
    "resize_19_symmetric": (
        19,
        (
            "s = Constant <value = float[4] {1, 1, 1.5, 0.7}> ()\n"
            'y = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel_symmetric"> '
            "(x, , s)"
        ),
    ),
    "max_pool_uneven": (
        12,
        (
            "y, z = MaxPool <kernel_shape = [3, 2], strides = [2, 2], "
            "pads = [0, 1, 2, 0], ceil_mode = 1> (x)"
        ),
    ),
    "max_pool_column_major": (12, "y, z = MaxPool <kernel_shape = [2, 2], storage_order = 1> (x)"),
    "average_pool_uneven": (
        11,
        (
            "y = AveragePool <kernel_shape = [3, 2], strides = [2, 2], "
            "pads = [0, 1, 2, 0], ceil_mode = 1, count_include_pad = 1> (x)"
        ),
    ),
    "average_pool_dilated": (
        19,
        ("y = AveragePool <kernel_shape = [2, 3], dilations = [2, 2], pads = [1, 2, 0, 1]> (x)"),
    ),
    "average_pool_same": (
        11,
        ('y = AveragePool <kernel_shape = [2, 3], auto_pad = "SAME_UPPER", strides = [2, 2]> (x)'),
    ),
    "group_normalization_18": (
        18,
        (
            "s = Constant <value = float[2] {1, 2}> ()\n"
            "b = Constant <value = float[2] {3, 4}> ()\n"
            "y = GroupNormalization <num_groups = 2> (x, s, b)"
        ),
    ),
    "batch_normalization_7": (
        7,
        (
            "s = Constant <value = float[4] {1, 2, 3, 4}> ()\n"
            "v = Constant <value = float[4] {0.5, 0.2, 0.3, 0.4}> ()\n"
            "y = BatchNormalization <epsilon = 0.1> (x, s, v, s, v)"
        ),
    ),
    "shape_arithmetic": (
        13,
        """
        n = Shape (x)
        i = Constant <value = int64[2] {2, 3}> ()
        hw = Gather <axis = 0> (n, i)
        two = Constant <value = int64[1] {2}> ()
        half = Div (hw, two)
        zero = Constant <value = int64[2] {0, 0}> ()
        s = Concat <axis = 0> (zero, half)
        minus = Constant <value = int64[1] {-1}> ()
        t = Concat <axis = 0> (s, minus)
        y = Reshape (x, t)""",
    ),
}


def model(opset, body):
    outputs = "y, z" if "z = " in body else "y"
    text = (
        f'<ir_version: {10 if opset > 20 else 8}, opset_import: ["" : {opset}]>\n'
        f"g (float[2, 4, 5, 6] x) => ({outputs}) {{\n{body}\n}}"
    )
    return parser.parse_model(text)


@pytest.mark.parametrize("name", GRAPHS)
def test_twin_computes_what_onnx_runtime_computes(name):
    proto = model(*GRAPHS[name])
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6), np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    expected = session.run(None, {"x": x})
    with torch.no_grad():
        actual = build_twin(from_proto(proto, name=name))({"x": torch.from_numpy(x)})
    for value, wanted in zip(actual.values(), expected, strict=True):
        assert value.numpy().dtype == wanted.dtype
        np.testing.assert_allclose(value.numpy(), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21])
def test_transposed_convolution_takes_the_output_shape_it_is_given(opset):
    weight = ", ".join(str(0.1 * i) for i in range(4 * 3 * 3))
    body = (
        f"w = Constant <value = float[4, 1, 3, 3] {{{weight}}}> ()\n"
        "y = ConvTranspose <output_shape = [10, 12], strides = [2, 2]> (x, w)"
    )
    graph = from_proto(model(opset, body), name="m")
    x = torch.ones(2, 4, 5, 6)
    assert build_twin(graph)({"x": x})["y"].shape == (2, 1, 10, 12)
