"""W: the norm of a channel's filter, and the other numbers that weights alone give."""

from wrg_onnx.calibrate.weight import (  # noqa: F401 - importing registers
    batch_scales,
    distances,
    norms,
)
