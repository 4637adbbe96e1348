"""Every form of every linear operator: name, attributes, shape of the input, of the weight."""

from __future__ import annotations

FORMS = {
    "plain": ("Conv", "", (2, 4, 7, 6), (6, 4, 3, 3)),
    "padded": ("Conv", "pads = [1, 2, 0, 1]", (2, 4, 7, 6), (6, 4, 3, 3)),
    "strided": ("Conv", "strides = [2, 3], pads = [1, 1, 1, 1]", (2, 4, 7, 6), (6, 4, 3, 3)),
    "dilated": ("Conv", "dilations = [2, 1], pads = [2, 0, 2, 0]", (1, 4, 7, 6), (6, 4, 3, 2)),
    "same_upper": ("Conv", 'auto_pad = "SAME_UPPER", strides = [2, 2]', (1, 4, 7, 6), (6, 4, 2, 3)),
    "same_lower": ("Conv", 'auto_pad = "SAME_LOWER", strides = [2, 2]', (1, 4, 7, 6), (6, 4, 2, 3)),
    "valid": ("Conv", 'auto_pad = "VALID"', (1, 4, 7, 6), (6, 4, 2, 3)),
    "grouped": ("Conv", "group = 2, pads = [1, 1, 1, 1]", (2, 4, 5, 5), (6, 2, 3, 3)),
    "depthwise": ("Conv", "group = 4, pads = [1, 1, 1, 1]", (2, 4, 5, 5), (8, 1, 3, 3)),
    "line": ("Conv", "strides = [2]", (2, 4, 9), (6, 4, 3)),
    "volume": ("Conv", "pads = [1, 0, 0, 1, 0, 0]", (1, 2, 3, 4, 4), (3, 2, 3, 1, 2)),
    "transposed": ("ConvTranspose", "", (2, 4, 5, 4), (4, 6, 3, 2)),
    "transposed_strided": (
        "ConvTranspose", "strides = [2, 3], pads = [1, 0, 1, 1], output_padding = [1, 2]",
        (2, 4, 5, 4), (4, 6, 3, 3),
    ),
    "transposed_grouped": (
        "ConvTranspose", "strides = [2, 2], group = 2, dilations = [2, 1]",
        (1, 4, 3, 3), (4, 3, 2, 2),
    ),
    "transposed_shape": (
        "ConvTranspose", "strides = [2, 2], output_shape = [8, 9]", (1, 4, 4, 4), (4, 3, 3, 3)
    ),
    "transposed_same": (
        "ConvTranspose", 'strides = [2, 2], auto_pad = "SAME_UPPER"', (1, 4, 4, 4), (4, 3, 3, 3)
    ),
    "transposed_same_lower": (
        "ConvTranspose", 'strides = [2, 2], auto_pad = "SAME_LOWER"', (1, 4, 4, 4), (4, 3, 3, 3)
    ),
    "transposed_line": ("ConvTranspose", "strides = [2]", (2, 4, 5), (4, 6, 3)),
    "gemm": ("Gemm", "", (3, 4), (4, 6)),
    "gemm_transposed": ("Gemm", "transB = 1, alpha = 0.5", (3, 4), (6, 4)),
    "matmul": ("MatMul", "", (2, 3, 4), (4, 6)),
}  # fmt: skip
