"""One module of rules per operator family; importing this package fills the table."""

from wrg_onnx.channels.rules import (  # noqa: F401 - importing registers
    attention,
    convolution,
    dividing,
    fused,
    linear,
    moving,
    normalisation,
    pointwise,
    reduction,
    reshape,
    resize,
    spatial,
    transformer_norms,
)
