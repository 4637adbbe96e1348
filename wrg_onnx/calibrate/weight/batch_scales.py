"""Network Slimming: the scale (gamma) of the batch normalisation that a channel passes."""

from __future__ import annotations

import numpy as np

from wrg_onnx.calibrate.registry import measures_weights
from wrg_onnx.channels import Units
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import BATCH_SCALE, LayerValues


@measures_weights(BATCH_SCALE)
def batch_scales(units: Units) -> list[LayerValues]:
    """Take abs of the scale (gamma) of every batch normalisation, one per channel.

    Those whose scale the graph computes are left out. Training with a penalty on the scales, as the
    paper does, is the user's; what is there is taken as it is.

    Args:
        units: The analysis of the model.

    Returns:
        The sizes of the scales, one entry per node.

    Raises:
        StatisticsError: If channels may go, and none of them passes such a node.

    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV
    2017, arXiv:1708.06519.
    """
    found: list[LayerValues] = []
    for analysed in units.nodes.values():
        if analysed.call.node.op == "BatchNormalization":
            scale = analysed.call.operand(1)
            if scale.value is not None:
                values = np.abs(scale.value.astype(np.float64))
                found.append(LayerValues(scale.name, units.of(scale.axes.at(0)), values))
    passed = [layer.units[layer.units >= 0] for layer in found]
    if units.removable.any() and not any(units.removable[members].any() for members in passed):
        raise StatisticsError(
            "no BatchNormalization with a constant scale passes a channel that can be pruned: "
            "exporters fold it into the convolution before it; export the model without that "
            "(torch: dynamo=False, training=TrainingMode.PRESERVE), or use another criterion on "
            "the weights alone, such as --criterion l1"
        )
    return found
