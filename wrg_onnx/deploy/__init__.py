"""What is done to a pruned model before it goes to work: half precision, static quantisation."""

from wrg_onnx.deploy.converted import Converted, Left
from wrg_onnx.deploy.half import to_half
from wrg_onnx.deploy.int8 import to_int8
from wrg_onnx.deploy.narrow import check_is_float32, narrow_numbers

__all__ = ["Converted", "Left", "check_is_float32", "narrow_numbers", "to_half", "to_int8"]
