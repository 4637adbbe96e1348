"""Id arrays: which positions of which tensors live or die together."""

from wrg_onnx.channels.answers import Quantised
from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.costs import (
    CostTerm,
    byte_terms,
    count_parameters,
    mac_terms,
    node_macs,
    parameter_terms,
    total_cost,
)
from wrg_onnx.channels.demands import alive_ids, meet_demands
from wrg_onnx.channels.feeds import index_bounds, random_feeds
from wrg_onnx.channels.ids import INERT, BoolArray, IdArray
from wrg_onnx.channels.limits import Limits
from wrg_onnx.channels.reasons import Kind, Reason
from wrg_onnx.channels.roots import Hold, find_holds
from wrg_onnx.channels.solve import find_units
from wrg_onnx.channels.told_inputs import told_inputs
from wrg_onnx.channels.traits import LayerForm, Traits, draws_random, traits_of
from wrg_onnx.channels.units import Slot, Units, is_parameter

__all__ = [
    "INERT",
    "Axes",
    "BoolArray",
    "CostTerm",
    "Hold",
    "IdArray",
    "Kind",
    "LayerForm",
    "Limits",
    "Quantised",
    "Reason",
    "Slot",
    "Traits",
    "Units",
    "alive_ids",
    "byte_terms",
    "count_parameters",
    "draws_random",
    "find_holds",
    "find_units",
    "index_bounds",
    "is_parameter",
    "mac_terms",
    "meet_demands",
    "node_macs",
    "parameter_terms",
    "random_feeds",
    "told_inputs",
    "total_cost",
    "traits_of",
]
