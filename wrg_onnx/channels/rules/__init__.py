"""One module of rules per operator family; importing this package fills the table."""

from wrg_onnx.channels.rules import (  # noqa: F401 - importing registers
    control,
    convolution,
    dividing,
    linear,
    moving,
    normalisation,
    pointwise,
    recurrent,
    reduction,
    reshape,
    resize,
    spatial,
)
