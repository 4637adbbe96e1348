"""R: the numerical rank of a channel's feature map, and its mean activation."""

from wrg_onnx.calibrate.rank import activation, ranks  # noqa: F401 - importing registers
