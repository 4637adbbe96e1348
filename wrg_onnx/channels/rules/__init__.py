"""One module of rules per operator family; importing this package fills the table."""

from wrg_onnx.channels.rules import (  # noqa: F401 - importing registers
    along,
    attention,
    convolution,
    dividing,
    einsum,
    fused,
    group_normalisation,
    indexing,
    linear,
    moving,
    normalisation,
    pointwise,
    reduction,
    reshape,
    resize,
    sampling,
    spatial,
    streaming,
    transformer_norms,
)
