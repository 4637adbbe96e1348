"""One module of rules per operator family; importing this package fills the table."""

from wrg_onnx.channels.rules import (  # noqa: F401 - importing registers
    convolution,
    dividing,
    linear,
    moving,
    normalisation,
    pointwise,
    quantised,
    quantised_microsoft,
    reduction,
    reshape,
    resize,
    spatial,
)
