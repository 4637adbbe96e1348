"""What installed packages of others bring: found by their entry points, loaded when asked for."""

from wrg_onnx.extensions.kind import Kind
from wrg_onnx.extensions.load import (
    check_name,
    load_all,
    load_named,
    raise_if_failed,
    raise_if_missing,
)
from wrg_onnx.extensions.named import Named, register_named
from wrg_onnx.extensions.operators import claim, foreign
from wrg_onnx.extensions.origin import OURS, Origin, calling_module, lasting, origin_of
from wrg_onnx.extensions.scan import SWITCH, Extension, installed

__all__ = [
    "OURS",
    "SWITCH",
    "Extension",
    "Kind",
    "Named",
    "Origin",
    "calling_module",
    "check_name",
    "claim",
    "foreign",
    "installed",
    "lasting",
    "load_all",
    "load_named",
    "origin_of",
    "raise_if_failed",
    "raise_if_missing",
    "register_named",
]
